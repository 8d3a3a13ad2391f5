//go:build cgo && unix

package cpeercred

/*
#cgo solaris LDFLAGS: -lsocket -lnsl
#cgo noescape cpeercred_credentials
#cgo nocallback cpeercred_credentials
#cgo noescape cpeercred_kind
#cgo nocallback cpeercred_kind
#cgo noescape cpeercred_check_can_have_peer
#cgo nocallback cpeercred_check_can_have_peer
#cgo noescape cpeercred_listens
#cgo nocallback cpeercred_listens
#cgo noescape cpeercred_answers_for_caller
#cgo nocallback cpeercred_answers_for_caller
#cgo noescape cpeercred_socketpair
#cgo nocallback cpeercred_socketpair
#cgo noescape cpeercred_groups
#cgo nocallback cpeercred_groups
#cgo noescape cpeercred_security_label
#cgo nocallback cpeercred_security_label
#cgo noescape cpeercred_audit_token
#cgo nocallback cpeercred_audit_token
#cgo noescape cpeercred_loopback_peer_uid
#cgo nocallback cpeercred_loopback_peer_uid
#cgo noescape cpeercred_report_senders
#cgo nocallback cpeercred_report_senders
#cgo noescape cpeercred_receive
#cgo nocallback cpeercred_receive
#cgo noescape cpeercred_open_process
#cgo nocallback cpeercred_open_process
#cgo noescape cpeercred_process_exited
#cgo nocallback cpeercred_process_exited
#cgo noescape cpeercred_process_pid
#cgo nocallback cpeercred_process_pid
#cgo noescape cpeercred_process_ids
#cgo nocallback cpeercred_process_ids
#cgo noescape cpeercred_since_boot
#cgo nocallback cpeercred_since_boot
#cgo noescape cpeercred_signal_process
#cgo nocallback cpeercred_signal_process
#include "cpeercred.h"
*/
import "C"

import (
	"errors"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Supported reports whether this build has a call for [Credentials].
const Supported = true

// Credentials returns the effective ids of the process at the other end of the Unix socket
// fd. On the accepted end they are captured at the peer's connect(2). pid is 0 if the kernel
// does not report it. The file of each system names its call.
//
// On Linux a listening socket answers with the ids of the process that called listen(2).
// Call [CheckCanHavePeer] and [AnswersForCaller] if the socket or the kernel is in doubt.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	var r C.struct_cpeercred_reply
	C.cpeercred_credentials(descriptor(fd), &r)
	if r.error != 0 {
		return 0, 0, 0, credentialsError(syscall.Errno(r.error))
	}
	return int32(r.ids.pid), uint32(r.ids.uid), uint32(r.ids.gid), nil
}

// credentialsError returns errno as an error. It explains the errno that the shim returns
// for NetBSD's connecting end.
func credentialsError(errno syscall.Errno) error {
	if runtime.GOOS == "netbsd" && errno == syscall.EOPNOTSUPP {
		return unsupportedError("this may be the connecting end, on which some releases of NetBSD name the caller itself: ask on the accepted end, about a peer that bound no name")
	}
	return errno
}

// Kind returns "Unix", "TCP" or "UDP" for a socket of that kind. For any other socket, and
// for a descriptor that is not a socket, it returns "unknown".
func Kind(fd int) (kind string, err error) {
	var k C.int
	if code := C.cpeercred_kind(descriptor(fd), &k); code != 0 {
		return "", failure(code, ids)
	}
	switch k {
	case C.CPEERCRED_KIND_UNIX:
		return "Unix", nil
	case C.CPEERCRED_KIND_TCP:
		return "TCP", nil
	case C.CPEERCRED_KIND_UDP:
		return "UDP", nil
	}
	return "unknown", nil
}

const errPacketEnds = unsupportedError("the kernel names each end of a SOCK_SEQPACKET connection as its own peer (as gVisor does): use SOCK_STREAM")

// CheckCanHavePeer returns ENOTCONN if the [Credentials] of the socket fd would not be those
// of its peer. That is so for a listening socket, and for a datagram socket, which can be
// connected to another socket after the kernel captured the credentials. Call it after
// Credentials: a socket can start to listen, but cannot stop.
//
// gVisor (release 20260905) names each end of a SOCK_SEQPACKET connection as its own peer.
// CheckCanHavePeer detects that with two sockets of its own, and returns an error that
// matches errors.ErrUnsupported for such a connection.
func CheckCanHavePeer(fd int) error {
	switch code := C.cpeercred_check_can_have_peer(descriptor(fd)); code {
	case 0:
		return nil
	case C.CPEERCRED_CONFUSED_ENDS:
		return errPacketEnds
	default:
		return failure(code, ids)
	}
}

// Listens reports whether the socket fd listens. It is always false on an OpenBSD without
// SO_ACCEPTCONN, whose listening sockets answer Credentials with ENOTCONN.
func Listens(fd int) (bool, error) {
	var listens C.int
	if code := C.cpeercred_listens(descriptor(fd), &listens); code != 0 {
		return false, failure(code, ids)
	}
	return listens != 0, nil
}

// AnswersForCaller reports whether the kernel names the caller as the peer of a socket that
// has no peer. Such a kernel (gVisor before November 2025) answers [Credentials] of every
// socket with the caller's own ids. AnswersForCaller makes a Unix socket and asks about it.
// The error is that of socket(2), or that of Credentials unless it means "no peer".
func AnswersForCaller() (bool, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var answers C.int
	if code := C.cpeercred_answers_for_caller(&answers); code != 0 {
		return false, failure(code, ids)
	}
	return answers != 0, nil
}

// OnSocketpair makes a pair of connected Unix sockets, calls ask with one of them, and
// closes both. The error is that of socketpair(2).
func OnSocketpair(ask func(fd int)) error {
	fds, err := socketpair()
	if err != nil {
		return err
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	ask(fds[0])
	return nil
}

func socketpair() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var pair [2]C.int
	if code := C.cpeercred_socketpair(&pair[0]); code != 0 {
		return fds, failure(code, ids)
	}
	return [2]int{int(pair[0]), int(pair[1])}, nil
}

const isLinux = runtime.GOOS == "linux" || runtime.GOOS == "android"

// fewGroups is enough for most processes. maxGroups is more than any process can have
// (NGROUPS_MAX is 65,536 on Linux).
const (
	fewGroups = 64
	maxGroups = 1 << 20
)

// Groups returns the supplementary groups of the process at the other end of the Unix socket
// fd, captured together with its [Credentials], in the kernel's order. It is not nil if there
// are none. The effective gid is among them only if it is a supplementary group too.
func Groups(fd int) ([]uint32, error) {
	var few [fewGroups]uint32
	groups := few[:]
	for {
		var count C.size_t
		code := C.cpeercred_groups(descriptor(fd), (*C.uint32_t)(&groups[0]), C.size_t(len(groups)), &count)
		switch {
		case code == 0:
			told := make([]uint32, count)
			copy(told, groups)
			return told, nil
		case isLinux && code == C.ENOPROTOOPT:
			return nil, unsupportedError("this kernel does not have it; Linux has it since 4.13")
		case code != C.ERANGE:
			return nil, failure(code, "groups")
		case count <= C.size_t(len(groups)) || count > maxGroups:
			return nil, syscall.EPROTO
		}
		groups = make([]uint32, count)
	}
}

// shortLabel is enough for most labels. maxLabel is more than any security module makes.
const (
	shortLabel = 256
	maxLabel   = 1 << 20
)

// SecurityLabel returns the label that a Linux security module (SELinux, AppArmor, Smack)
// gave the peer's socket, without a NUL at its end. It is never empty. A socket without a
// peer may have a label too: call [Credentials] and [CheckCanHavePeer] if that is in doubt.
func SecurityLabel(fd int) (string, error) {
	var short [shortLabel]byte
	label := short[:]
	for {
		var length C.size_t
		code := C.cpeercred_security_label(descriptor(fd), (*C.char)(unsafe.Pointer(&label[0])), C.size_t(len(label)), &length)
		switch {
		case code == 0 && length == 0:
			return "", unsupportedError("the label is empty")
		case code == 0:
			return string(label[:length]), nil
		case code == C.ENOPROTOOPT:
			return "", unsupportedError("no Linux security module labels this socket")
		case code != C.ERANGE:
			return "", failure(code, "security label")
		case length <= C.size_t(len(label)) || length > maxLabel:
			return "", syscall.EPROTO
		}
		label = make([]byte, length)
	}
}

// AuditToken returns macOS's audit token of the process that last used the peer's socket:
// auid, euid, egid, ruid, rgid, pid, asid, pidversion. The kernel builds it when asked.
func AuditToken(fd int) (token [8]uint32, err error) {
	var told [8]C.uint32_t
	if code := C.cpeercred_audit_token(descriptor(fd), &told[0]); code != 0 {
		return token, failure(code, "audit token")
	}
	for i, word := range told {
		token[i] = uint32(word)
	}
	return token, nil
}

// oneAtATime protects the socket that the shim keeps.
var oneAtATime sync.Mutex

// LoopbackPeerUID returns the uid of the socket at the other end of the TCP connection fd,
// both ends of which have a loopback address. The file of each system names its call.
// EADDRNOTAVAIL means that an address is not a loopback address, and EAGAIN that the server
// has not accepted the connection yet.
func LoopbackPeerUID(fd int) (uid uint32, err error) {
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	var u C.uint32_t
	switch code := C.cpeercred_loopback_peer_uid(descriptor(fd), &u); code {
	case 0:
		return uint32(u), nil
	case C.CPEERCRED_NO_SOCK_DIAG:
		return 0, unsupportedError("the kernel or a sandbox does not allow netlink sockets: allow AF_NETLINK, for example in RestrictAddressFamilies= of systemd")
	case C.CPEERCRED_NO_TCP_DIAG:
		return 0, unsupportedError("the kernel does not report TCP sockets: load its module tcp_diag")
	case C.CPEERCRED_NO_NETNS_COOKIE:
		return 0, unsupportedError("this kernel does not have SO_NETNS_COOKIE; Linux has it since 5.14")
	case C.CPEERCRED_OTHER_NETNS:
		return 0, unsupportedError("the connection is in another network namespace than this process")
	case C.CPEERCRED_REDIRECTED:
		return 0, unsupportedError("a rule of the firewall (NAT) redirected the connection, so the peer's socket cannot be found")
	case C.CPEERCRED_MULTIPATH:
		return 0, unsupportedError("the kernel does not report whether a rule of the firewall (NAT) redirected an MPTCP connection: turn MPTCP off, in Go by net.ListenConfig.SetMultipathTCP(false)")
	case C.CPEERCRED_OTHER_DEVICE:
		return 0, unsupportedError("the connection is bound to a network device (VRF or SO_BINDTODEVICE), and other devices can have the same addresses")
	default:
		return 0, failure(code, owner)
	}
}

// IsNotLoopback reports whether err means that an address is not a loopback address.
func IsNotLoopback(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

// ReportSenders makes the kernel attach the sender to each message that the Unix socket fd
// receives from now on, and on request a pidfd of its process and its security label.
func ReportSenders(fd int, process, label bool) error {
	switch code := C.cpeercred_report_senders(descriptor(fd), truth(process), truth(label)); code {
	case 0:
		return nil
	case C.CPEERCRED_NO_PASSPIDFD:
		return unsupportedError("this kernel does not have SO_PASSPIDFD; Linux has it since 6.5")
	default:
		return failure(code, sender)
	}
}

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
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
	var r C.struct_cpeercred_received
	code := C.cpeercred_receive(descriptor(fd),
		firstByte(payload), C.size_t(len(payload)), firstByte(control), C.size_t(len(control)), truth(keep), &r)
	switch {
	case code != 0:
		return Received{Pidfd: -1}, failure(code, sender)
	case r.end != 0:
		return Received{Pidfd: -1, End: true}, nil
	}
	got := Received{
		N: int(r.n), PID: int32(r.ids.pid), UID: uint32(r.ids.uid), GID: uint32(r.ids.gid), Pidfd: int(r.pidfd),
		Label: string(control[r.label_at:][:r.label]),
		From:  string(unsafe.Slice((*byte)(unsafe.Pointer(&r.from)), r.name)),
	}
	if keep {
		got.Control = control[r.control_at:][:r.control]
	}
	if r.pidfd_error != 0 {
		got.PidfdError = syscall.Errno(r.pidfd_error)
	}
	return got, nil
}

// firstByte has a type for which cgo does not look for pointers at each call.
func firstByte(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }

// IsNoMessage reports whether an error of [Receive] says that there is no message.
func IsNoMessage(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// WhyLost says why [Receive] lost a message, or "" if the error has another reason.
func WhyLost(err error) string {
	switch {
	case errors.Is(err, syscall.EMSGSIZE):
		return "it is longer than the buffer"
	case errors.Is(err, syscall.ENOBUFS):
		return "it brought more control data than fits"
	case errors.Is(err, syscall.ENODATA):
		return "the kernel did not report who sent it"
	case errors.Is(err, syscall.EPROTO):
		return "the kernel's answer does not have the form that its headers define"
	}
	return ""
}

// OpenProcess returns a pidfd of the process that [Credentials] names, even if another
// process has its pid now. The pidfd is close-on-exec and non-blocking. The caller closes it.
func OpenProcess(fd int) (pidfd int, err error) {
	var p C.int
	switch code := C.cpeercred_open_process(descriptor(fd), &p); code {
	case 0:
		return int(p), nil
	case C.ENOPROTOOPT:
		return -1, unsupportedError("this kernel does not have it; Linux has it since 6.5")
	default:
		return -1, failure(code, handle)
	}
}

// ProcessExited reports whether the process has ended. A zombie has ended.
func ProcessExited(pidfd int) (bool, error) {
	var exited C.int
	if code := C.cpeercred_process_exited(descriptor(pidfd), &exited); code != 0 {
		return false, failure(code, handle)
	}
	return exited != 0, nil
}

// ProcessPID returns the pid that the process has in our pid namespace, or 0 if it has none
// there.
func ProcessPID(pidfd int) (int32, error) {
	var pid C.int32_t
	if code := C.cpeercred_process_pid(descriptor(pidfd), &pid); code != 0 {
		return 0, infoError(code)
	}
	return int32(pid), nil
}

// ProcessIDs returns the current ids of the process: the real, effective, saved and file
// system uid, then the same four gids.
func ProcessIDs(pidfd int) (ids [8]uint32, err error) {
	var told [8]C.uint32_t
	if code := C.cpeercred_process_ids(descriptor(pidfd), &told[0]); code != 0 {
		return ids, infoError(code)
	}
	for i, id := range told {
		ids[i] = uint32(id)
	}
	return ids, nil
}

func infoError(code C.int) error {
	switch code {
	case C.ENOTTY, C.EINVAL: // before Linux 6.11, before 6.13
		return unsupportedError("this kernel does not have PIDFD_GET_INFO; Linux has it since 6.13")
	}
	return failure(code, handle)
}

// SignalProcess sends a [syscall.Signal] to the process. Signal 0 or nil sends nothing, and
// reports by the error whether a signal could be sent.
func SignalProcess(pidfd int, signal os.Signal) error {
	s, ok := signal.(syscall.Signal)
	if signal != nil && (!ok || s < 0 || s > math.MaxInt32) { // an int to the kernel
		return syscall.EINVAL
	}
	if code := C.cpeercred_signal_process(descriptor(pidfd), C.int(s)); code != 0 {
		return failure(code, handle)
	}
	return nil
}

// SinceBoot returns the time since the system was booted, in our time namespace. It includes
// the time that the system was suspended. /proc reports the start of a process by this clock.
func SinceBoot() (time.Duration, error) {
	var nanoseconds C.int64_t
	if code := C.cpeercred_since_boot(&nanoseconds); code != 0 {
		return 0, failure(code, handle)
	}
	return time.Duration(nanoseconds), nil
}

// IsGone reports whether err means that a process has been reaped.
func IsGone(err error) bool { return errors.Is(err, syscall.ESRCH) }

// descriptor returns fd, or -1 for a number that cannot be a descriptor. The kernel answers
// -1 with EBADF.
func descriptor(fd int) C.int {
	if fd < 0 || fd > math.MaxInt32 {
		return -1
	}
	return C.int(fd)
}

// failure returns the error for a code that is not 0. fact is what was asked for.
func failure(code C.int, fact string) error {
	if code == C.CPEERCRED_UNSUPPORTED {
		return untold(fact)
	}
	return syscall.Errno(code)
}
