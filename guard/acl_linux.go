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
	raw, err := directory.SyscallConn()
	if err != nil {
		return err
	}
	var removed error
	err = raw.Control(func(fd uintptr) { removed = unix.Fremovexattr(int(fd), "system.posix_acl_default") })
	if errors.Is(removed, unix.ENODATA) || errors.Is(removed, unix.EOPNOTSUPP) {
		removed = nil // there is none
	}
	return errors.Join(err, removed)
}
