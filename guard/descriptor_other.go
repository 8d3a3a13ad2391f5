//go:build !unix

package guard

import (
	"errors"
	"syscall"
)

// duplicate is for Unix.
func duplicate(syscall.Conn) (int, error) { return -1, errors.ErrUnsupported }
