//go:build openbsd || solaris || aix

package native

import (
	"errors"

	"golang.org/x/sys/unix"
)

// These systems accept system calls only from libc. So this file calls functions of x/sys.

// socketOption returns an option at SOL_SOCKET that is an int.
func socketOption(fd, option int) (value int, err error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
}

// family calls getsockname(2). These systems do not allow a name that is longer than
// sun_path. A family that x/sys does not know is AF_UNSPEC.
func (sockets) family(fd int) (int, error) {
	address, err := unix.Getsockname(fd)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return unix.AF_UNSPEC, nil
	case err != nil:
		return 0, err
	}
	switch address.(type) {
	case *unix.SockaddrUnix:
		return unix.AF_UNIX, nil
	case *unix.SockaddrInet4:
		return unix.AF_INET, nil
	case *unix.SockaddrInet6:
		return unix.AF_INET6, nil
	}
	return unix.AF_UNSPEC, nil
}
