package native

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call names the kernel's call behind [Credentials].
const Call = "getsockopt(LOCAL_PEERCRED)"

// Credentials returns the ids of the process at the other end of the Unix
// socket fd. uid and gid are effective ids, captured at the peer's connect(2)
// on the accepted end and at listen(2) on the connecting end. pid is not: it is
// that of the process which last used the peer's socket, and 0 once the peer
// has closed.
//
// The error is ENOTCONN for a stream socket without a peer, EINVAL for a
// datagram socket, EAFNOSUPPORT for what is not a Unix socket, EBADF, and EPROTO
// for an answer that is not a struct xucred.
//
// Source: unix(4), uipc_ctloutput in bsd/kern/uipc_usrreq.c.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	cred, err := peerXucred(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	pid, err = peerPID(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	return pid, cred.uid, cred.groups[0], nil
}

// peerXucred returns a structure that has been decoded.
func peerXucred(fd int) (*xucred, error) {
	if err := checkUnixFamily(fd); err != nil {
		return nil, err
	}
	cred := poisonedXucred()
	length, err := getsockopt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	if err != nil {
		return nil, err
	}
	if _, _, err := cred.decode(length); err != nil {
		return nil, err
	}
	return &cred, nil
}

// peerPID asks LOCAL_PEERPID, which is ENOTCONN once the peer has closed, while
// LOCAL_PEERCRED still answers: then the kernel tells no pid.
func peerPID(fd int) (pid int32, err error) {
	pid = -1
	length, err := getsockopt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID, unsafe.Pointer(&pid), unsafe.Sizeof(pid))
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return decodePID(pid, length)
}
