package guard

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuseDescriptors makes the kernel refuse descriptors (SCM_RIGHTS) that peers send to the
// connections of a listening socket. The sender gets EPERM. A descriptor that was sent and
// not received is dropped when its connection is closed. That can take as long as the
// sender likes, for a socket that lingers, or a file of a file system that the sender
// serves. It works since Linux 6.16. It does nothing on older kernels and on emulators of
// Linux.
//
// Source: SO_PASSRIGHTS in net/core/sock.c and net/unix/af_unix.c.
func refuseDescriptors(_, _ string, socket syscall.RawConn) error {
	var set error
	err := socket.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	})
	switch set {
	case unix.ENOPROTOOPT, unix.EINVAL, unix.EOPNOTSUPP:
		set = nil // an older kernel or an emulator does not know the option
	}
	return errors.Join(err, os.NewSyscallError("setsockopt(SO_PASSRIGHTS)", set))
}

// descriptorsAreRefused reports whether the kernel refuses descriptors on a connection, or
// on the connections of a listening socket that are made from now on.
func descriptorsAreRefused(socket syscall.Conn) bool {
	passes := 1
	err := onDescriptor(socket, func(fd int) (err error) {
		passes, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
		return err
	})
	return err == nil && passes == 0
}

// hasNoDescriptors shuts a connection down, so that its peer can send nothing more, and
// reports whether it holds no descriptors. On a stream they come with at least one byte.
func hasNoDescriptors(conn net.Conn) bool {
	socket, ok := conn.(*net.UnixConn)
	if !ok || socket == nil || socket.LocalAddr().Network() != "unix" {
		return false
	}
	unread := -1
	err := onDescriptor(socket, func(fd int) (err error) {
		if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
			return err
		}
		unread, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return err == nil && unread == 0
}
