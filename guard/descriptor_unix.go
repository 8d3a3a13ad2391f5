//go:build unix

package guard

import (
	"errors"
	"syscall"
)

// onDescriptor calls do with the descriptor of a file or a socket, which stays open
// meanwhile.
func onDescriptor(open syscall.Conn, do func(fd int) error) error {
	raw, err := open.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = do(int(fd)) })
	return errors.Join(err, done)
}
