//go:build openbsd || solaris || aix

package native

import "golang.org/x/sys/unix"

// socketOption is an option at SOL_SOCKET that is an int. These systems take
// system calls from libc alone, so x/sys's getter must do.
func socketOption(fd, option int) (value int, err error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
}
