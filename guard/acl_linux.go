package guard

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropDefaultACL keeps what is made in a directory of ours from getting an access
// control list of the directory's parent: there can be users in it whom a mode with
// bits for the group lets in. See acl(5).
func dropDefaultACL(directory *os.File) error {
	return onDescriptor(directory, func(fd int) error {
		err := unix.Fremovexattr(fd, "system.posix_acl_default")
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil // there is none
		}
		return err
	})
}
