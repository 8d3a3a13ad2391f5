//go:build !unix || aix

package guard

import (
	"errors"
	"syscall"
)

// duplicate fails: golang.org/x/sys has no F_DUPFD_CLOEXEC for AIX.
func duplicate(syscall.Conn) (int, error) { return -1, errors.ErrUnsupported }
