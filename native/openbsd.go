//go:build openbsd

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd. They are captured at the peer's connect(2) on the accepted end, and at bind(2) on the
// connecting end.
//
// Both ends of a socketpair name the process that made it, also for datagrams (r1.221 of
// uipc_usrreq.c). Older kernels answer ENOTCONN there (r1.137). bind(2) on a connected
// socket replaces the captured ids with those of the process that calls it, so an accepted
// descriptor must never be bound.
//
// The error is ENOTCONN for a socket without a peer.
//
// OpenBSD accepts system calls only from libc, and x/sys exports no getsockopt for this
// structure. Its getter for ICMPv6 filters is the same call with a buffer of 32 bytes. The
// kernel fills the first 12.
//
// Source: getsockopt(2), sogetopt in sys/kern/uipc_socket.c, uipc_bind and
// uipc_connect2 in sys/kern/uipc_usrreq.c.
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return 0, 0, 0, err
	}
	buffer, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return (*openbsdPeercred)(unsafe.Pointer(buffer)).decode()
}

// This does not compile unless the borrowed buffer is large enough for the structure.
const _ = uint(unix.SizeofICMPv6Filter - unsafe.Sizeof(openbsdPeercred{}))
