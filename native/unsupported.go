package native

import (
	"errors"
	"os"
	"time"
)

// unsupported returns an error for every question. Each system embeds it.
type unsupported struct{}

var _ questions = unsupported{}

// questions are the methods that native.go calls.
type questions interface {
	credentials(fd int) (pid int32, uid, gid uint32, err error)
	kind(fd int) (string, error)
	checkCanHavePeer(fd int) error
	listens(fd int) (bool, error)
	answersForCaller() (bool, error)
	onSocketpair(ask func(fd int)) error
	groups(fd int) ([]uint32, error)
	securityLabel(fd int) (string, error)
	auditToken(fd int) ([8]uint32, error)
	loopbackPeerUID(fd int) (uint32, error)
	isNotLoopback(err error) bool
	reportSenders(fd int, process, label bool) error
	receive(fd int, payload, control []byte, keep bool) (Received, error)
	isNoMessage(err error) bool
	whyLost(err error) string
	openProcess(fd int) (pidfd int, err error)
	processExited(pidfd int) (bool, error)
	processPID(pidfd int) (int32, error)
	processIDs(pidfd int) ([8]uint32, error)
	signalProcess(pidfd int, signal os.Signal) error
	sinceBoot() (time.Duration, error)
	isGone(err error) bool
}

// Windows reports at most a pid (SIO_AF_UNIX_GETPEERPID), Plan 9 has no Unix sockets, and js
// and wasip1 imitate them in memory.
const errNoCredentials = unsupportedError("the system does not report the uid and gid of a socket's peer")

func (unsupported) credentials(int) (pid int32, uid, gid uint32, err error) {
	return 0, 0, 0, errNoCredentials
}
func (unsupported) kind(int) (string, error)        { return "", errNoCredentials }
func (unsupported) checkCanHavePeer(int) error      { return errNoCredentials }
func (unsupported) listens(int) (bool, error)       { return false, errNoCredentials }
func (unsupported) answersForCaller() (bool, error) { return false, errNoCredentials }
func (unsupported) onSocketpair(func(int)) error    { return errNoCredentials }

func (unsupported) groups(int) ([]uint32, error)          { return nil, untold("groups") }
func (unsupported) securityLabel(int) (string, error)     { return "", untold("security label") }
func (unsupported) auditToken(int) (t [8]uint32, _ error) { return t, untold("audit token") }

const errNoLoopbackPeer = unsupportedError("the system does not report the uid of a loopback TCP peer")

func (unsupported) loopbackPeerUID(int) (uint32, error) { return 0, errNoLoopbackPeer }
func (unsupported) isNotLoopback(error) bool            { return false }

const errNoSender = unsupportedError("the system does not report the sender of a message")

func (unsupported) reportSenders(int, bool, bool) error { return errNoSender }
func (unsupported) receive(int, []byte, []byte, bool) (Received, error) {
	return Received{Pidfd: -1}, errNoSender
}
func (unsupported) isNoMessage(error) bool { return false }
func (unsupported) whyLost(error) string   { return "" }

const errNoHandle = unsupportedError("the system has no handle on the process of a socket's peer")

func (unsupported) openProcess(int) (int, error)            { return -1, errNoHandle }
func (unsupported) processExited(int) (bool, error)         { return false, errNoHandle }
func (unsupported) processPID(int) (int32, error)           { return 0, errNoHandle }
func (unsupported) processIDs(int) (ids [8]uint32, _ error) { return ids, errNoHandle }
func (unsupported) signalProcess(int, os.Signal) error      { return errNoHandle }
func (unsupported) sinceBoot() (time.Duration, error)       { return 0, errNoHandle }
func (unsupported) isGone(error) bool                       { return false }

// unsupportedError says why a system does not answer. It matches errors.ErrUnsupported.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

func (e unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

func untold(fact string) error {
	return unsupportedError("the system does not report the " + fact + " of a socket's peer")
}
