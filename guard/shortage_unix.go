//go:build unix

package guard

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isShortage knows the errnos that Go does not call temporary: accept(2)'s for want of
// memory, and that of epoll_ctl(2) when a user's watches have run out.
func isShortage(err error) bool {
	return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOSPC)
}
