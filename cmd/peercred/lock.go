//go:build (darwin || dragonfly || freebsd || netbsd || openbsd || linux) && (cgo || (!android && !ios))

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockDirectory takes a lock on a directory, which other runs of this command
// respect and everybody else does not notice. Where there is none to be had (a
// directory that we may not read, a file system without locks) it does nothing.
func lockDirectory(path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return func() {}, nil
	}
	raw, err := directory.SyscallConn()
	if err == nil {
		var locked error
		err = errors.Join(raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }), locked)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		directory.Close()
		return nil, fmt.Errorf("somebody has locked %s to replace a socket in it, try again", path)
	}
	return func() { directory.Close() }, nil
}
