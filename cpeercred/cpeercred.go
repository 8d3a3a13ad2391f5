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
#include "cpeercred.h"
*/
import "C"

import (
	"math"
	"runtime"
	"syscall"
)

// Supported tells whether this build has a call that answers [Credentials].
const Supported = true

// Call names the system's call behind [Credentials].
const Call = C.CPEERCRED_CALL

// Credentials returns the ids of the process at the other end of the Unix
// socket fd, as the kernel knows them: effective ids, captured at the peer's
// connect(2) on the accepted end. pid is 0 where the kernel does not tell it.
// [Call] names the call; package peercred's documentation has the table of what
// each system answers, and native's the details of the system it is built for.
//
// The error is the kernel's for a socket without a peer (ENOTCONN on most
// systems; ENOTCONN is also what Linux's (0, -1, -1) becomes), EAFNOSUPPORT
// where a socket of another family would be answered, EBADF, ENOTSOCK, and
// EPROTO for an answer that the kernel did not fill as its headers say. On Linux
// a listening socket answers with the ids of whoever called listen(2) on it. Ask
// [CheckCanHavePeer] and [AnswersForCaller] where the state of the socket or
// the kernel is in doubt.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if !isDescriptor(fd) {
		return 0, 0, 0, syscall.EBADF
	}
	var r C.struct_cpeercred_reply
	C.cpeercred_credentials(C.int(fd), &r)
	if r.error != 0 {
		return 0, 0, 0, credentialsError(syscall.Errno(r.error))
	}
	return int32(r.ids.pid), uint32(r.ids.uid), uint32(r.ids.gid), nil
}

// credentialsError gives the errno that the shim chose for NetBSD's connecting
// end its reason, and leaves all others as they are.
func credentialsError(errno syscall.Errno) error {
	if runtime.GOOS == "netbsd" && errno == syscall.EOPNOTSUPP {
		return unsupportedError("NetBSD names the caller itself on the connecting end of a socket in some releases, and this descriptor cannot be told from that end; ask on the accepted end, about a peer that bound no name")
	}
	return errno
}

// Kind tells what the descriptor fd is: "Unix", "TCP" or "UDP" for a socket of
// that family, "unknown" for a socket of any other and for what is no socket. It
// asks for the family (SO_DOMAIN on Linux, getsockname(2) elsewhere) and SO_TYPE;
// what is a stream over IP is "TCP", and datagrams over IP are "UDP".
func Kind(fd int) (kind string, err error) {
	if !isDescriptor(fd) {
		return "", syscall.EBADF
	}
	var k C.int
	if errno := C.cpeercred_kind(C.int(fd), &k); errno != 0 {
		return "", syscall.Errno(errno)
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

const errPacketEnds = unsupportedError("the kernel names each end of a SOCK_SEQPACKET connection as its own peer (gVisor does); SOCK_STREAM is told rightly")

// CheckCanHavePeer returns ENOTCONN if fd is a socket whose [Credentials] would
// not be those of whoever is at the other end: one that listens, which on Linux
// answers with the ids of whoever called listen(2) on it, mostly our own; and a
// datagram socket, which can be connected to another one after the kernel took
// the credentials. It returns nil for any other. Ask it after Credentials, since
// a socket can begin to listen but not cease to.
//
// A kernel that names each end of a SOCK_SEQPACKET connection as its own peer, as
// gVisor does (release 20260905), is found out by two sockets of our own, and for such
// a socket the error is errors.ErrUnsupported then.
//
// OpenBSD does not tell who listens before it has SO_ACCEPTCONN (ENOPROTOOPT),
// and nil is right then: its listening sockets answer Credentials with ENOTCONN.
func CheckCanHavePeer(fd int) error {
	if !isDescriptor(fd) {
		return syscall.EBADF
	}
	switch errno := C.cpeercred_check_can_have_peer(C.int(fd)); errno {
	case 0:
		return nil
	case C.CPEERCRED_CONFUSED_ENDS:
		return errPacketEnds
	default:
		return syscall.Errno(errno)
	}
}

// Listens reports whether the socket fd listens (SO_ACCEPTCONN). On an OpenBSD that
// does not have SO_ACCEPTCONN it reports false.
func Listens(fd int) (bool, error) {
	if !isDescriptor(fd) {
		return false, syscall.EBADF
	}
	var listens C.int
	if errno := C.cpeercred_listens(C.int(fd), &listens); errno != 0 {
		return false, syscall.Errno(errno)
	}
	return listens != 0, nil
}

// AnswersForCaller reports whether this kernel names the caller as the peer of
// a socket that has none. Such a kernel (gVisor before November 2025) answers
// every [Credentials] with the caller's own ids, whoever connected. It asks a
// fresh Unix socket; the error is that of socket(2), or of Credentials for a
// reason other than the lack of a peer.
func AnswersForCaller() (bool, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var answers C.int
	if errno := C.cpeercred_answers_for_caller(&answers); errno != 0 {
		return false, syscall.Errno(errno)
	}
	return answers != 0, nil
}

// OnSocketpair calls ask with one end of a fresh pair of connected Unix sockets,
// both of this process, and closes them. The error is that of socketpair(2).
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
	if errno := C.cpeercred_socketpair(&pair[0]); errno != 0 {
		return fds, syscall.Errno(errno)
	}
	return [2]int{int(pair[0]), int(pair[1])}, nil
}

// isDescriptor keeps what no descriptor can be from being cut down to a C int.
func isDescriptor(fd int) bool { return fd >= 0 && fd <= math.MaxInt32 }
