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
func duplicate(socket syscall.Conn) (int, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, duplicated := -1, error(nil)
	err = raw.Control(func(from uintptr) { fd, duplicated = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = os.NewSyscallError("fcntl(F_DUPFD_CLOEXEC)", duplicated)
	}
	return fd, err
}
