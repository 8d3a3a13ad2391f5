//go:build dragonfly

package native

import "unsafe"

// These are from sys/un.h. x/sys has neither for DragonFly. The C shim takes them from the
// header, and asserts these values.
const (
	solLocal      = 0
	localPeercred = 1
)

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd. They are captured at the peer's connect(2) on the accepted end, and at listen(2) on
// the connecting end. pid is always 0, because DragonFly does not report it.
//
// The error is ENOTCONN for a stream socket without a peer, and EINVAL for a datagram or
// seqpacket socket without a peer.
//
// Source: unix(4), uipc_ctloutput in sys/kern/uipc_usrreq.c.
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	cred, length, err := s.askXucred(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	uid, gid, err = cred.decodeIDs(length)
	return 0, uid, gid, err
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
	length, err = getsockopt(fd, solLocal, localPeercred, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	return cred, length, err
}
