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

	"golang.org/x/sys/unix"
)

// removeStale removes the file if it is a stale socket file. No file there is no error;
// what is no socket, and what belongs to one, is left alone, with an error.
//
// A lock on the directory keeps two that do this at once apart. A server that does not
// take the lock, and makes its own socket there between our last look and the removal,
// loses its file: no system removes a name only if it still is a certain file's.
func (p *socketPath) removeStale(ctx context.Context) error {
	unlock, err := lockDirectory(ctx, p.directory)
	if err != nil {
		return err
	}
	defer unlock()
	inode, err := p.open() // its number is not reused meanwhile
	if errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return err
	}
	defer inode.close()
	before, err := inode.stat()
	if err != nil {
		return err
	}
	if stale, err := probeStale(p.path); !stale {
		return err
	}
	return p.remove(idOfFile(before))
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
		return false, fmt.Errorf("another process listens on %s: %w", path, syscall.EADDRINUSE)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return false, fmt.Errorf("%s exists, and whether another process listens on it could not be found out: %w", path, err)
	}
	return true, nil
}
