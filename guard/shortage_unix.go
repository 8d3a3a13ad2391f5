//go:build unix

package guard

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isShortage recognizes the errnos that Go does not call temporary: those of accept(2) for
// a lack of memory, and that of epoll_ctl(2) when a user has no watches left.
func isShortage(err error) bool {
	return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOSPC)
}

// isInUse recognizes the errno of bind(2) for an address that is taken.
func isInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
