//go:build netbsd

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// These are from sys/un.h. x/sys has neither for NetBSD. The C shim takes them from the
// header, and asserts these values.
const (
	solLocal     = 0
	localPeereid = 3
)

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd, captured at the peer's connect(2). It answers only on the accepted end. On the
// connecting end the answer depends on the revision of sys/kern/uipc_usrreq.c. Up to r1.152
// it is the process that called bind(2), from r1.162 to about r1.208 the caller itself, and
// since r1.209 (July 2025) the process that called listen(2). No call reports the revision.
// So every socket that may be a connecting end is errors.ErrUnsupported.
//
// bind(2) on a connected socket replaces the captured ids with those of the process that
// calls it (r1.152 to r1.180), so an accepted descriptor must never be bound.
//
// The error is EINVAL for a socket without a peer, and ENOTCONN once the peer has closed. The
// kernel then still has its ids, but not its name.
//
// Source: unix(4), uipc_ctloutput in sys/kern/uipc_usrreq.c.
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return 0, 0, 0, err
	}
	cred := poisonedNetBSDUnpcbid()
	length, err := getsockopt(fd, solLocal, localPeereid, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	if err != nil {
		return 0, 0, 0, err
	}
	if err := checkAcceptedEnd(fd); err != nil {
		return 0, 0, 0, err
	}
	return cred.decode(length)
}

// checkAcceptedEnd asks for the names of both ends.
func checkAcceptedEnd(fd int) error {
	own, err := isNamed(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		return err
	}
	peer, err := isNamed(fd, unix.SYS_GETPEERNAME)
	if err != nil {
		return err
	}
	return checkAcceptedNames(own, peer)
}

func isNamed(fd int, call uintptr) (bool, error) {
	name, length, err := askName(fd, call)
	if err != nil {
		return false, err
	}
	return name.isNamed(length)
}
