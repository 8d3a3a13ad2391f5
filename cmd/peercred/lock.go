//go:build (darwin || dragonfly || freebsd || netbsd || openbsd || linux) && (cgo || (!android && !ios))

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockDirectory takes a lock on a directory, which other runs of this command
// respect and everybody else does not notice.
func lockDirectory(path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := directory.SyscallConn()
	if err == nil {
		var locked error
		err = errors.Join(raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }), locked)
	}
	if err != nil {
		directory.Close()
		return nil, fmt.Errorf("somebody else has locked %s, try again: %w", path, err)
	}
	return func() { directory.Close() }, nil
}
