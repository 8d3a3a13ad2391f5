//go:build openbsd || solaris || aix

package native

import (
	"errors"

	"golang.org/x/sys/unix"
)

// addressFamily asks getsockname(2) through x/sys. These systems accept system calls only
// from libc, and refuse a name that is longer than sun_path. A family that x/sys does not
// know is AF_UNSPEC.
func addressFamily(fd int) (family int, err error) {
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
