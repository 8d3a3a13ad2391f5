//go:build unix

package guard

import (
	"errors"
	"os"
)

// onDescriptor runs do on the descriptor of an open file, which stays open meanwhile.
func onDescriptor(file *os.File, do func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = do(int(fd)) })
	return errors.Join(err, done)
}
