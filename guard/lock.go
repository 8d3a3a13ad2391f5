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

// longestLock bounds how long a lock is waited for: everybody who can read the
// directory can hold one.
const longestLock = time.Second

// lockDirectory takes a lock on a directory, which other calls of Listen respect and
// everybody else does not notice. It keeps two that replace the same file from getting
// in each other's way, who would notice and fail; so where there is none to be had (a
// directory that we may not read, a file system without locks, somebody who holds it
// for too long) it does nothing. It is an error if ctx ends first.
func lockDirectory(ctx context.Context, place *os.File) (unlock func(), err error) {
	fd, err := unix.Openat(int(place.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}, nil
	}
	directory := os.NewFile(uintptr(fd), place.Name())
	patience := time.After(longestLock)
	for errors.Is(tryLock(directory), unix.EWOULDBLOCK) {
		select {
		case <-ctx.Done():
			directory.Close()
			return nil, fmt.Errorf("another process has locked %s to replace a socket in it: %w", place.Name(), ctx.Err())
		case <-patience:
			directory.Close()
			return func() {}, nil
		case <-time.After(time.Millisecond):
		}
	}
	return func() { directory.Close() }, nil
}

func tryLock(directory *os.File) error {
	return onDescriptor(directory, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}
