//go:build !cgo

package peercred

import (
	"os"
	"time"

	"example.com/peercred/native"
)

// Implementation names the linked implementation. It is "cpeercred", the C shims, in a
// build with CGO_ENABLED=1, and "native", golang.org/x/sys, in a build with CGO_ENABLED=0.
// Both give the same answers.
const Implementation = "native"

const supported = native.Supported

// credentials assigns its results. The compiler does not inline it if it returns the call.
func credentials(fd int) (pid int32, uid, gid uint32, err error) {
	pid, uid, gid, err = native.Credentials(fd)
	return
}

func kind(fd int) (string, error)         { return native.Kind(fd) }
func checkCanHavePeer(fd int) error       { return native.CheckCanHavePeer(fd) }
func listens(fd int) (bool, error)        { return native.Listens(fd) }
func answersForCaller() (bool, error)     { return native.AnswersForCaller() }
func onSocketpair(ask func(fd int)) error { return native.OnSocketpair(ask) }

func groups(fd int) ([]uint32, error)                { return native.Groups(fd) }
func securityLabel(fd int) (string, error)           { return native.SecurityLabel(fd) }
func auditToken(fd int) (token [8]uint32, err error) { return native.AuditToken(fd) }

func loopbackPeerUID(fd int) (uid uint32, err error) { return native.LoopbackPeerUID(fd) }
func isNotLoopback(err error) bool                   { return native.IsNotLoopback(err) }

func reportSenders(fd int, process, label bool) error {
	return native.ReportSenders(fd, process, label)
}
func receive(fd int, payload, control []byte, keep bool) (received, error) {
	r, err := native.Receive(fd, payload, control, keep)
	return received(r), err
}
func isNoMessage(err error) bool { return native.IsNoMessage(err) }
func whyLost(err error) string   { return native.WhyLost(err) }

func openProcess(fd int) (pidfd int, err error)       { return native.OpenProcess(fd) }
func processExited(pidfd int) (bool, error)           { return native.ProcessExited(pidfd) }
func processPID(pidfd int) (int32, error)             { return native.ProcessPID(pidfd) }
func processIDs(pidfd int) (ids [8]uint32, err error) { return native.ProcessIDs(pidfd) }
func signalProcess(pidfd int, signal os.Signal) error { return native.SignalProcess(pidfd, signal) }
func sinceBoot() (time.Duration, error)               { return native.SinceBoot() }
func isGone(err error) bool                           { return native.IsGone(err) }
