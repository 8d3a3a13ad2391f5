//go:build freebsd

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd. They are captured at the peer's connect(2) on the accepted end, and at listen(2) on
// the connecting end. pid is 0 before FreeBSD 13.0 and 12.3.
//
// The error is ENOTCONN for a stream socket without a peer and for a socketpair, and EINVAL
// for a datagram socket. For a seqpacket socket without a peer it is EINVAL up to FreeBSD
// 13, and ENOTCONN in newer source.
//
// Source: unix(4), uipc_ctloutput in sys/kern/uipc_usrreq.c.
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	cred, length, err := s.askXucred(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	return cred.decode(length)
}

// groups returns the groups of the struct xucred, captured with the ids. The kernel reports
// at most 16 groups. The first is the effective gid, and groups leaves it out. So if a
// process has more than 15 supplementary groups, the others are missing. The errors are
// those of credentials.
//
// Source: unix(4), cru2x in kern/kern_prot.c.
func (s system) groups(fd int) ([]uint32, error) {
	cred, length, err := s.askXucred(fd)
	if err != nil {
		return nil, err
	}
	if _, _, err := cred.decodeIDs(length); err != nil {
		return nil, err
	}
	return cred.supplementaryGroups()
}

// askXucred returns an answer that is not decoded yet.
func (s system) askXucred(fd int) (cred freebsdXucred, length uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return cred, 0, err
	}
	cred = poisonedFreeBSDXucred()
	length, err = getsockopt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	return cred, length, err
}
