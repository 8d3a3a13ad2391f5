//go:build !unix

package guard

import (
	"errors"
	"os"
)

// On these systems no service manager hands over sockets in this way.

func setCloseOnExec(int) error { return errors.ErrUnsupported }

func checkListens(*os.File) error { return errors.ErrUnsupported }
