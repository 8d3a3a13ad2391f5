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
// the accepted end only. On the connecting end NetBSD names the caller itself
// (since r1.162 of sys/kern/uipc_usrreq.c), so the error there is
// errors.ErrUnsupported, as for every socket that cannot be told from one.
//
// The error is EINVAL for a socket without a peer, EAFNOSUPPORT for what is
// not a Unix socket, EBADF, and EPROTO for an answer that
// is not a struct unpcbid.
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
	own, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return err
	}
	return checkAcceptedNames(own, peer)
}
