//go:build unix && !aix

package guard

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate returns a second descriptor of a socket, which is closed on exec. Unlike
// [net.UnixListener.File] it leaves the socket in non-blocking mode for good: the Fd method
// of that file makes it blocking, for both.
func duplicate(socket syscall.Conn) (fd int, err error) {
	fd = -1
	err = onDescriptor(socket, func(from int) (err error) {
		fd, err = unix.FcntlInt(uintptr(from), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl(F_DUPFD_CLOEXEC)", err)
	})
	return fd, err
}
