//go:build cgo

package peercred

import (
	"os"
	"time"

	"example.com/peercred/cpeercred"
)

// Implementation names the linked implementation. It is "cpeercred", the C shims, in a
// build with CGO_ENABLED=1, and "native", golang.org/x/sys, in a build with CGO_ENABLED=0.
// Both give the same answers.
const Implementation = "cpeercred"

const supported = cpeercred.Supported

func credentials(fd int) (pid int32, uid, gid uint32, err error) { return cpeercred.Credentials(fd) }
func kind(fd int) (string, error)                                { return cpeercred.Kind(fd) }
func checkCanHavePeer(fd int) error                              { return cpeercred.CheckCanHavePeer(fd) }
func listens(fd int) (bool, error)                               { return cpeercred.Listens(fd) }
func answersForCaller() (bool, error)                            { return cpeercred.AnswersForCaller() }
func onSocketpair(ask func(fd int)) error                        { return cpeercred.OnSocketpair(ask) }

func groups(fd int) ([]uint32, error)                { return cpeercred.Groups(fd) }
func securityLabel(fd int) (string, error)           { return cpeercred.SecurityLabel(fd) }
func auditToken(fd int) (token [8]uint32, err error) { return cpeercred.AuditToken(fd) }

func loopbackPeerUID(fd int) (uid uint32, err error) { return cpeercred.LoopbackPeerUID(fd) }
func isNotLoopback(err error) bool                   { return cpeercred.IsNotLoopback(err) }

func reportSenders(fd int, process, label bool) error {
	return cpeercred.ReportSenders(fd, process, label)
}
func receive(fd int, payload, control []byte, keep bool) (received, error) {
	r, err := cpeercred.Receive(fd, payload, control, keep)
	return received(r), err
}
func isNoMessage(err error) bool { return cpeercred.IsNoMessage(err) }
func whyLost(err error) string   { return cpeercred.WhyLost(err) }

func openProcess(fd int) (pidfd int, err error)       { return cpeercred.OpenProcess(fd) }
func processExited(pidfd int) (bool, error)           { return cpeercred.ProcessExited(pidfd) }
func processPID(pidfd int) (int32, error)             { return cpeercred.ProcessPID(pidfd) }
func processIDs(pidfd int) (ids [8]uint32, err error) { return cpeercred.ProcessIDs(pidfd) }
func signalProcess(pidfd int, signal os.Signal) error { return cpeercred.SignalProcess(pidfd, signal) }
func sinceBoot() (time.Duration, error)               { return cpeercred.SinceBoot() }
func isGone(err error) bool                           { return cpeercred.IsGone(err) }
