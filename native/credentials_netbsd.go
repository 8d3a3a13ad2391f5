package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call names the kernel's call behind [Credentials].
const Call = "getsockopt(LOCAL_PEEREID)"

// From sys/un.h; x/sys has neither for NetBSD. The C shim takes them from the
// header and asserts these values.
const (
	solLocal     = 0
	localPeereid = 3
)

// Credentials returns the ids of the process at the other end of the Unix
// socket fd: effective ids, captured at the peer's connect(2). It answers on
// the accepted end only. What the connecting end is told depends on the revision of
// sys/kern/uipc_usrreq.c: who called bind(2), up to r1.152; the caller itself, from
// r1.162 to about r1.208; who called listen(2), since r1.209 (July 2025). No call
// tells the revision, so the error there is errors.ErrUnsupported, as for every
// socket that cannot be told from a connecting end.
//
// bind(2) on a connected socket replaces the captured ids with those of the process
// that calls it (r1.152 to r1.180), so an accepted descriptor must never be bound.
//
// The error is EINVAL for a socket without a peer, ENOTCONN once the peer has closed
// (the kernel keeps its ids then, but not its name), EAFNOSUPPORT for what is not a
// Unix socket, EBADF, and EPROTO for an answer that is not a struct unpcbid.
//
// Source: unix(4), uipc_ctloutput in sys/kern/uipc_usrreq.c.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if err := checkUnixFamily(fd); err != nil {
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
