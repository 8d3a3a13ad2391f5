//go:build unix

package guard

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// setCloseOnExec returns an error if fd is no descriptor.
func setCloseOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return os.NewSyscallError("fcntl(F_SETFD)", err)
}

// checkListens returns an error if file is no listening socket.
func checkListens(file *os.File) error {
	return onDescriptor(file, func(fd int) error {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		switch {
		case err != nil:
			return os.NewSyscallError("getsockopt(SO_ACCEPTCONN)", err)
		case listens == 0:
			return fmt.Errorf("the socket does not listen: the socket unit requires ListenStream= or ListenSequentialPacket=, and Accept=no: %w", unix.EINVAL)
		}
		return nil
	})
}
