//go:build unix && !aix && !solaris

package guard

import "golang.org/x/sys/unix"

func init() {
	flock = func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }
}
