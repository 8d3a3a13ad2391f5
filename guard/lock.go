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

// lockDirectory takes a lock on a directory, which other calls of Listen respect and
// everybody else does not notice. It waits for it until ctx ends, and for no more
// than a second. Where there is none to be had (a directory that we may not read, a
// file system without locks) it does nothing.
func lockDirectory(ctx context.Context, path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for errors.Is(tryLock(directory), unix.EWOULDBLOCK) {
		select {
		case <-ctx.Done():
			directory.Close()
			return nil, fmt.Errorf("somebody has locked %s to replace a socket in it, try again: %w", path, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return func() { directory.Close() }, nil
}

func tryLock(directory *os.File) error {
	raw, err := directory.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	return errors.Join(err, locked)
}
