package native

import "golang.org/x/sys/unix"

// addressFamily asks SO_DOMAIN, which unlike x/sys's Getsockname does not
// allocate. Source: socket(7).
func addressFamily(fd int) (family int, err error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
}
