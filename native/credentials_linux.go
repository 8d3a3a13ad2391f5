package native

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call names the kernel's call behind [Credentials].
const Call = "getsockopt(SO_PEERCRED)"

// Credentials returns the ids of the process at the other end of the Unix
// socket fd: effective ids, captured at the peer's connect(2) on the accepted
// end, at listen(2) on the connecting end, at creation for a socketpair. They
// stay the same after the peer changed its ids or died. pid is 0 if the process
// is not visible in our pid namespace; ids without a mapping in our user
// namespace are the overflow id (65534).
//
// The error is ENOTCONN for a socket that has no peer (unconnected, a connected
// datagram socket, TCP), EBADF, ENOTSOCK, and EPROTO for an answer that is not
// a struct ucred. Ask [CheckCanHavePeer] and [AnswersForCaller] where the state
// of the socket or the kernel is in doubt.
//
// Source: unix(7), sk_getsockopt in net/core/sock.c.
//
// It makes the system call itself, without getsockopt, for one call less: it is the
// question that is asked most.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if fd < 0 || fd > math.MaxInt32 {
		return 0, 0, 0, unix.EBADF
	}
	cred := poisonedLinuxUcred()
	length := uint32(unsafe.Sizeof(cred))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT,
		uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERCRED,
		uintptr(unsafe.Pointer(&cred)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return cred.decode(length)
}
