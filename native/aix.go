//go:build aix

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd. They are captured at the peer's connect(2) on the accepted end, and at listen(2) on
// the connecting end.
//
// The error is ENOTCONN for a socket without a peer. It is errors.ErrUnsupported for a peer
// with uid 0 and gid 0, which x/sys does not distinguish from an answer that is too short.
//
// AIX accepts system calls only from libc, and x/sys exports no getsockopt for this
// structure. Its getter for ICMPv6 filters is the same call with a buffer of 32 bytes. The
// kernel fills the first 24.
//
// Source: getsockopt(2), struct peercred_struct in sys/socket.h.
func (s system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if err := s.checkUnixFamily(fd); err != nil {
		return 0, 0, 0, err
	}
	buffer, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_SOCKET, unix.SO_PEERID)
	if err != nil {
		return 0, 0, 0, err
	}
	return (*aixPeercred)(unsafe.Pointer(buffer)).decode()
}

// This does not compile unless the borrowed buffer is large enough for the structure.
const _ = uint(unix.SizeofICMPv6Filter - unsafe.Sizeof(aixPeercred{}))
