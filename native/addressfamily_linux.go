package native

import "golang.org/x/sys/unix"

// addressFamily asks SO_DOMAIN, which every socket answers and x/sys need not
// allocate for, as it must for getsockname(2). Source: socket(7).
func addressFamily(fd int) (family int, err error) { return socketOption(fd, unix.SO_DOMAIN) }
