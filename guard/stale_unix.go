//go:build unix

package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// takeStale moves a stale socket file from path into the directory, and removes
// it there. It leaves alone, with an error, what is no socket and what belongs to
// one. No file at path is no error. Two that run at once are kept apart by a lock
// on the directory that path is in.
func (d *privateDir) takeStale(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := lockDirectory(ctx, directoryOf(path))
	if err != nil {
		return err
	}
	defer unlock()
	stale, err := probeStale(path)
	if !stale {
		return err
	}
	return d.take(path)
}

// probeStale reports whether there is a stale socket file at path. No file there
// is no error, and any other is one.
//
// The probe is a datagram socket, which cannot connect to a stream socket: the
// kernel answers EPROTOTYPE if any socket belongs to the file, without that one's
// noticing, and ECONNREFUSED if none does. A stream socket would be a visitor to
// the server, and would be refused by one that has not begun to listen or, but on
// Linux, is busy.
func probeStale(path string) (stale bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode().Type() != fs.ModeSocket:
		return false, fmt.Errorf("%s exists and is not a socket: %w", path, syscall.EADDRINUSE)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	switch {
	case err == nil:
		conn.Close()
		return false, fmt.Errorf("%s belongs to a datagram socket: %w", path, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EPROTOTYPE):
		return false, fmt.Errorf("somebody listens on %s already: %w", path, syscall.EADDRINUSE)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return false, fmt.Errorf("%s exists, and whether somebody listens on it could not be found out: %w", path, err)
	}
	return true, nil
}

// take moves the file at path into the directory, and removes it there if it is
// stale. It is probed again where nobody can exchange it, since another can have
// taken its place, and even its inode number, after the first look. Such a one
// goes back; if it cannot, it stays where it is, and the error says where.
func (d *privateDir) take(path string) error {
	if err := os.Rename(path, d.path(aside)); err != nil {
		return err
	}
	stale, err := probeStale(d.path(aside))
	if stale {
		return d.Remove(aside)
	}
	if linkErr := os.Link(d.path(aside), path); linkErr != nil {
		return fmt.Errorf("%s was replaced meanwhile, and what replaced it is now %s: %w", path, d.path(aside), errors.Join(linkErr, err))
	}
	return errors.Join(fmt.Errorf("%s was replaced meanwhile, try again", path), d.Remove(aside))
}
