//go:build !cgo || !unix

package cpeercred

import (
	"os"
	"time"
)

// Supported reports whether this build has a call for [Credentials].
const Supported = false

// Without the C shims every function fails, with an error that matches errors.ErrUnsupported.

func Credentials(int) (pid int32, uid, gid uint32, err error) { return 0, 0, 0, untold(ids) }
func Kind(int) (kind string, err error)                       { return "", untold(ids) }
func CheckCanHavePeer(int) error                              { return untold(ids) }
func Listens(int) (bool, error)                               { return false, untold(ids) }
func AnswersForCaller() (bool, error)                         { return false, untold(ids) }
func OnSocketpair(func(fd int)) error                         { return untold(ids) }

func Groups(int) ([]uint32, error)                { return nil, untold("groups") }
func SecurityLabel(int) (string, error)           { return "", untold("security label") }
func AuditToken(int) (token [8]uint32, err error) { return token, untold("audit token") }

func LoopbackPeerUID(int) (uid uint32, err error) { return 0, untold(owner) }
func IsNotLoopback(error) bool                    { return false }

func ReportSenders(int, bool, bool) error { return untold(sender) }
func Receive(int, []byte, []byte, bool) (Received, error) {
	return Received{Pidfd: -1}, untold(sender)
}
func IsNoMessage(error) bool { return false }
func WhyLost(error) string   { return "" }

func OpenProcess(int) (pidfd int, err error)    { return -1, untold(handle) }
func ProcessExited(int) (bool, error)           { return false, untold(handle) }
func ProcessPID(int) (int32, error)             { return 0, untold(handle) }
func ProcessIDs(int) (ids [8]uint32, err error) { return ids, untold(handle) }
func SignalProcess(int, os.Signal) error        { return untold(handle) }
func SinceBoot() (time.Duration, error)         { return 0, untold(handle) }
func IsGone(error) bool                         { return false }
