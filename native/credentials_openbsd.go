package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call names the kernel's call behind [Credentials].
const Call = "getsockopt(SO_PEERCRED)"

// Credentials returns the ids of the process at the other end of the Unix
// socket fd: effective ids, captured at the peer's connect(2) on the accepted
// end and at bind(2) on the connecting end.
//
// The error is ENOTCONN for a socket without a peer (socketpairs included),
// EOPNOTSUPP for a socket that is not of the Unix family, EBADF, ENOTSOCK, and
// EPROTO for an answer that is not a struct sockpeercred.
//
// OpenBSD takes system calls from libc alone, and x/sys exports no getsockopt
// for this structure. Its getter for ICMPv6 filters is the same call with a
// buffer of 32 bytes, of which the kernel fills the first 12.
//
// Source: getsockopt(2), sogetopt in sys/kern/uipc_socket.c.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if err := checkDescriptor(fd); err != nil {
		return 0, 0, 0, err
	}
	buffer, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return (*openbsdPeercred)(unsafe.Pointer(buffer)).decode()
}

// The borrowed buffer holds the structure.
const _ = uint(unix.SizeofICMPv6Filter - unsafe.Sizeof(openbsdPeercred{}))
