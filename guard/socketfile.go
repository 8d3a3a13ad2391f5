//go:build unix

package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFile is a listener with a file of its own, which Close removes.
type socketFile struct {
	*net.UnixListener
	address *net.UnixAddr // where the file is
	path    string        // the same, wherever we go
	info    fs.FileInfo   // of the file that we made, and no other
	stays   atomic.Bool   // when we close
}

// maxPath is how long a path may be that connect(2) takes.
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// listenAtPath listens on a socket file at path, which has the given attributes
// from its first instant there and replaces a socket file that no socket belongs to
// any more, but nothing else.
//
// bind(2) makes the file with what the umask leaves of 0777, and the umask is
// the whole process's. So the file is made where nobody else can come, in a
// directory with mode 0700 beside path, gets its owner and its mode there, and then
// appears at path by link(2), which replaces nothing.
func listenAtPath(ctx context.Context, network, path string, want socketAttributes) (_ *socketFile, err error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s has %d bytes, and the path of a socket has at most %d", path, len(path), maxPath)
	}
	absolute, err := absolutePath(path)
	if err != nil {
		return nil, err
	}
	parent := directoryOf(path)
	if long := len(parent + "/.p4294967295/" + made); long > maxPath {
		return nil, fmt.Errorf("the socket is made in a directory beside %s, where its path may have %d bytes, and the path of a socket has at most %d", path, long, maxPath)
	}
	if !want.shared {
		if err := checkDirectory(directoryOf(absolute)); err != nil {
			return nil, err
		}
	}
	private, err := makePrivate(parent)
	if err != nil {
		return nil, err
	}
	defer private.remove()
	listener, err := private.listen(ctx, network, want)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			listener.Close()
		}
	}()
	if err := private.takeStale(ctx, path); err != nil {
		return nil, err
	}
	if err := os.Link(private.path(made), path); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("somebody put a file at %s meanwhile: %w", path, syscall.EADDRINUSE)
	} else if err != nil {
		return nil, err
	}
	if err := checkIsAt(path, private.socket); err != nil {
		return nil, err
	}
	return &socketFile{UnixListener: listener, address: &net.UnixAddr{Name: path, Net: network}, path: absolute, info: private.socket}, nil
}

// checkIsAt sees whether the socket that was put at path is there.
func checkIsAt(path string, socket fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(now, socket) {
		return fmt.Errorf("%s is not the socket that was put there", path)
	}
	return nil
}

// Addr is where the file is, not where it was made.
func (s *socketFile) Addr() net.Addr { return s.address }

// SetUnlinkOnClose sets whether Close removes the socket file.
func (s *socketFile) SetUnlinkOnClose(unlink bool) { s.stays.Store(!unlink) }

// Close removes the socket file, unless it is to stay, and unless another has taken its place, and stops
// listening. It removes first: as long as we listen, nobody takes our file for
// a stale one and puts another in its place between the look and the removal.
func (s *socketFile) Close() error {
	var err error
	if now, _ := os.Lstat(s.path); !s.stays.Load() && os.SameFile(now, s.info) { // false if there is none
		err = os.Remove(s.path)
	}
	return errors.Join(err, s.UnixListener.Close())
}
