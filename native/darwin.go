//go:build darwin

package native

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

type system struct{ sockets }

// credentials returns the ids of the process at the other end of the Unix socket fd. uid and
// gid are effective ids, captured at the peer's connect(2) on the accepted end, and at
// listen(2) on the connecting end. pid is that of the process that last used the peer's
// socket, and 0 once the peer has closed.
//
// The error is ENOTCONN for a stream socket without a peer, and EINVAL for a datagram socket.
//
// Source: unix(4), uipc_ctloutput in bsd/kern/uipc_usrreq.c.
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	cred, length, err := s.askXucred(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	uid, gid, err = cred.decode(length)
	if err != nil {
		return 0, 0, 0, err
	}
	pid, err = peerPID(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	return pid, uid, gid, nil
}

// askXucred returns an answer that is not decoded yet.
func (s system) askXucred(fd int) (cred xucred, length uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return cred, 0, err
	}
	cred = poisonedXucred()
	length, err = getsockopt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	return cred, length, err
}

// peerPID asks for LOCAL_PEERPID. Once the peer has closed, that fails with ENOTCONN,
// although LOCAL_PEERCRED still answers. peerPID then returns 0.
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

// groups returns the groups of the struct xucred, captured with the ids. The kernel reports
// at most 16 groups. The first is the effective gid, and groups leaves it out. So if a
// process has more than 15 supplementary groups, the others are missing. The errors are
// those of credentials.
//
// Source: unix(4), cru2x in kern/kern_prot.c and its like.
func (s system) groups(fd int) ([]uint32, error) {
	cred, length, err := s.askXucred(fd)
	if err != nil {
		return nil, err
	}
	if _, _, err := cred.decode(length); err != nil {
		return nil, err
	}
	return cred.supplementaryGroups()
}

// auditToken returns the audit token of the process that last used the peer's socket: auid,
// euid, egid, ruid, rgid, pid, asid, pidversion. The kernel builds it when asked.
//
// The error is ENOTCONN for a socket without a peer and once the peer has closed, and EINVAL
// if no process has that pid.
//
// Source: uipc_ctloutput in bsd/kern/uipc_usrreq.c.
func (s system) auditToken(fd int) (token [8]uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return token, err
	}
	t := poisonedAuditToken()
	length, err := getsockopt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERTOKEN, unsafe.Pointer(&t), unsafe.Sizeof(t))
	if err != nil {
		return token, err
	}
	return t.decode(length)
}
