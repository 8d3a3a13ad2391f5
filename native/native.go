// Package native asks the kernel about the peer of a Unix socket, or of a TCP connection
// over loopback, through golang.org/x/sys, without cgo.
//
// It is the plumbing of package peercred and carries no promise of compatibility: any
// release may change it. Use package peercred. The functions here take a raw descriptor,
// and check less of its state.
//
// It is one of two independent implementations. Package cpeercred has the same functions,
// through C shims. Both give the same values and the same errors for the same socket.
//
// An error is a bare errno (a [syscall.Errno]) or matches [errors.ErrUnsupported]. The errno
// is the kernel's own, or one of these:
//
//   - EBADF for a number that is not a descriptor.
//   - ENOTCONN if Linux answers with ids that mean "no peer".
//   - EAFNOSUPPORT for a socket of another family, except on Linux.
//   - EPROTO for an answer that does not have the form that the system's headers define.
//
// On an error every other result is zero.
//
// All functions are safe for concurrent use as long as the descriptor stays open.
package native

import (
	"os"
	"time"
)

// kernel answers the questions. Each system's file defines the type system. That embeds
// [unsupported], whose methods return errors, and has a method of its own for each question
// that the system answers.
//
// [Credentials], [Kind] and [Groups] assign their results. The compiler inlines that in
// package peercred, but not a function that returns the call.
var kernel system

// Credentials returns the effective ids of the process at the other end of the Unix socket
// fd. On the accepted end they are captured at the peer's connect(2). pid is 0 if the kernel
// does not report it. The file of each system names its call, and describes the connecting
// end and the errors.
//
// On Linux a listening socket answers with the ids of the process that called listen(2).
// Call [CheckCanHavePeer] and [AnswersForCaller] if the socket or the kernel is in doubt.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	pid, uid, gid, err = kernel.credentials(fd)
	return
}

// Kind returns "Unix", "TCP" or "UDP" for a socket of that kind. For any other socket, and
// for a descriptor that is not a socket, it returns "unknown".
func Kind(fd int) (kind string, err error) {
	kind, err = kernel.kind(fd)
	return
}

// CheckCanHavePeer returns ENOTCONN if the [Credentials] of the socket fd would not be those
// of its peer. That is so for a listening socket, and for a datagram socket, which can be
// connected to another socket after the kernel captured the credentials. Call it after
// Credentials: a socket can start to listen, but cannot stop.
//
// gVisor (release 20260905) names each end of a SOCK_SEQPACKET connection as its own peer.
// CheckCanHavePeer detects that with two sockets of its own, and returns an error that
// matches errors.ErrUnsupported for such a connection.
func CheckCanHavePeer(fd int) error { return kernel.checkCanHavePeer(fd) }

// Listens reports whether the socket fd listens. It is always false on an OpenBSD without
// SO_ACCEPTCONN, whose listening sockets answer Credentials with ENOTCONN.
func Listens(fd int) (bool, error) { return kernel.listens(fd) }

// AnswersForCaller reports whether the kernel names the caller as the peer of a socket that
// has no peer. Such a kernel (gVisor before November 2025) answers [Credentials] of every
// socket with the caller's own ids. AnswersForCaller makes a Unix socket and asks about it.
// The error is that of socket(2), or that of Credentials unless it means "no peer".
func AnswersForCaller() (bool, error) { return kernel.answersForCaller() }

// OnSocketpair makes a pair of connected Unix sockets, calls ask with one of them, and
// closes both. The error is that of socketpair(2).
func OnSocketpair(ask func(fd int)) error { return kernel.onSocketpair(ask) }

// Groups returns the supplementary groups of the process at the other end of the Unix socket
// fd, captured together with its [Credentials], in the kernel's order. It is not nil if there
// are none. The effective gid is among them only if it is a supplementary group too.
func Groups(fd int) (groups []uint32, err error) {
	groups, err = kernel.groups(fd)
	return
}

// SecurityLabel returns the label that a Linux security module (SELinux, AppArmor, Smack)
// gave the peer's socket, without a NUL at its end. It is never empty. A socket without a
// peer may have a label too: call [Credentials] and [CheckCanHavePeer] if that is in doubt.
func SecurityLabel(fd int) (string, error) { return kernel.securityLabel(fd) }

// AuditToken returns macOS's audit token of the process that last used the peer's socket:
// auid, euid, egid, ruid, rgid, pid, asid, pidversion. The kernel builds it when asked.
func AuditToken(fd int) (token [8]uint32, err error) { return kernel.auditToken(fd) }

// LoopbackPeerUID returns the uid of the socket at the other end of the TCP connection fd,
// both ends of which have a loopback address. The file of each system names its call, and
// describes the errors. EADDRNOTAVAIL means that an address is not a loopback address, and
// EAGAIN that the server has not accepted the connection yet.
func LoopbackPeerUID(fd int) (uid uint32, err error) { return kernel.loopbackPeerUID(fd) }

// IsNotLoopback reports whether err means that an address is not a loopback address.
func IsNotLoopback(err error) bool { return kernel.isNotLoopback(err) }

// Received is a message that [Receive] received.
type Received struct {
	N          int    // the bytes of the payload
	End        bool   // the connection has ended, and all else is zero
	PID        int32  // of the sender, or 0 if the kernel does not report it
	UID        uint32 // the sender's
	GID        uint32
	Label      string // the sender's security label, or empty
	From       string // the name of the sender's socket, or empty
	Control    []byte // the other control messages
	Pidfd      int    // of the sender, or -1. It is close-on-exec, and the caller closes it.
	PidfdError error  // why there is none
}

// ReportSenders makes the kernel attach the sender to each message that the Unix socket fd
// receives from now on, and on request a pidfd of its process and its security label.
func ReportSenders(fd int, process, label bool) error {
	return kernel.reportSenders(fd, process, label)
}

// Receive receives a message of the Unix socket fd without waiting, and the sender that
// [ReportSenders] asked for. The file of each system says what the ids mean.
//
// Control is a part of control, which must have room for the sender too. If keep is true it
// has the other control messages, and the descriptors in them are the caller's. If keep is
// false these are closed. The Pidfd is -1 on an error and at the end.
//
// The error is EAGAIN if there is no message, EMSGSIZE if the message is longer than payload,
// ENOBUFS if the control messages are longer than control, and ENODATA if the message has no
// sender. A message with another error than EAGAIN is lost.
func Receive(fd int, payload, control []byte, keep bool) (Received, error) {
	return kernel.receive(fd, payload, control, keep)
}

// IsNoMessage reports whether an error of [Receive] says that there is no message.
func IsNoMessage(err error) bool { return kernel.isNoMessage(err) }

// WhyLost says why [Receive] lost a message, or "" if the error has another reason.
func WhyLost(err error) string { return kernel.whyLost(err) }

// OpenProcess returns a pidfd of the process that [Credentials] names, even if another
// process has its pid now. The pidfd is close-on-exec and non-blocking. The caller closes it.
func OpenProcess(fd int) (pidfd int, err error) { return kernel.openProcess(fd) }

// ProcessExited reports whether the process has ended. A zombie has ended.
func ProcessExited(pidfd int) (bool, error) { return kernel.processExited(pidfd) }

// ProcessPID returns the pid that the process has in our pid namespace, or 0 if it has none
// there.
func ProcessPID(pidfd int) (int32, error) { return kernel.processPID(pidfd) }

// ProcessIDs returns the current ids of the process: the real, effective, saved and file
// system uid, then the same four gids.
func ProcessIDs(pidfd int) (ids [8]uint32, err error) { return kernel.processIDs(pidfd) }

// SignalProcess sends a [syscall.Signal] to the process. Signal 0 or nil sends nothing, and
// reports by the error whether a signal could be sent.
func SignalProcess(pidfd int, signal os.Signal) error { return kernel.signalProcess(pidfd, signal) }

// SinceBoot returns the time since the system was booted, in our time namespace. It includes
// the time that the system was suspended. /proc reports the start of a process by this clock.
func SinceBoot() (time.Duration, error) { return kernel.sinceBoot() }

// IsGone reports whether err means that a process has been reaped.
func IsGone(err error) bool { return kernel.isGone(err) }
