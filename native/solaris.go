//go:build solaris

package native

import "golang.org/x/sys/unix"

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd, captured when the peer's endpoint was created or connected.
//
// The error is ENOTCONN for a stream socket without a peer and once the peer has closed, and
// ENOTSUP for a datagram socket. It is EPROTO for a ucred that lacks one of the three ids.
//
// Source: getpeerucred(3C), ucred_get(3C).
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return 0, 0, 0, err
	}
	cred, err := unix.GetPeerUcred(uintptr(fd))
	if err != nil {
		return 0, 0, 0, err
	}
	return decodeUcred(cred.Getpid(), cred.Geteuid(), cred.Getegid())
}

// groups returns an error, although the system reports groups by ucred_getgroups(3C).
func (system) groups(int) ([]uint32, error) {
	return nil, unsupportedError("golang.org/x/sys has no ucred_getgroups(3C): build with CGO_ENABLED=1")
}
