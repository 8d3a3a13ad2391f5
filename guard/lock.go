//go:build darwin || dragonfly || freebsd || netbsd || openbsd || linux

package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockDirectory takes a lock on a directory. Only other calls of Listen respect it. It
// keeps two of them from replacing the same file at once, which would make one of them
// fail. If no lock can be had, lockDirectory does nothing: if we may not read the
// directory, if its file system has no locks, or if another process holds it for too long.
// It returns an error if ctx ends first.
func lockDirectory(ctx context.Context, parent *os.File) (unlock func(), err error) {
	fd, err := unix.Openat(int(parent.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}, nil
	}
	directory := os.NewFile(uintptr(fd), parent.Name())
	for began := time.Now(); errors.Is(tryLock(directory), unix.EWOULDBLOCK); {
		if ctx.Err() != nil {
			directory.Close()
			return nil, fmt.Errorf("another process has locked %s to replace a socket in it: %w", parent.Name(), ctx.Err())
		}
		if time.Since(began) > longestLock {
			directory.Close()
			return func() {}, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return func() { directory.Close() }, nil
}

func tryLock(directory *os.File) error {
	return onDescriptor(directory, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}
