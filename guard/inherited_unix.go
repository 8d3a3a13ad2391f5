//go:build unix

package guard

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// setCloseOnExec is an error for what is no descriptor.
func setCloseOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return os.NewSyscallError("fcntl(F_SETFD)", err)
}

// listenerOn returns a listener on a duplicate of fd.
func listenerOn(fd int) (net.Listener, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case err != nil:
		return nil, os.NewSyscallError("getsockopt(SO_ACCEPTCONN)", err)
	case listens == 0:
		return nil, errNotListening
	}
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl(F_DUPFD_CLOEXEC)", err)
	}
	file := os.NewFile(uintptr(duplicate), "inherited socket")
	defer file.Close()
	return net.FileListener(file)
}

var errNotListening = errors.Join(errors.New("the socket does not listen: the socket unit needs ListenStream= or ListenSequentialPacket=, and Accept=no"), unix.EINVAL)

func closeInherited(fd int) { unix.Close(fd) }
