//go:build unix

package guard

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isShortOfMemory knows the errnos with which accept(2) says so, which Go does not
// call temporary.
func isShortOfMemory(err error) bool {
	return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS)
}
