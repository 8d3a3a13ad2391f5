//go:build unix && (cgo || (!android && !ios))

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// socketFile is a listener with a file of its own, which Close removes.
type socketFile struct {
	*net.UnixListener
	path  string
	info  fs.FileInfo // of the file that we made, and no other
	close func() error
}

// listenAtPath listens on a socket file at path, which has the given permission
// bits from its first instant there and replaces a socket file that nobody
// listens on any more, but nothing else.
//
// bind(2) makes the file with what the umask leaves of 0777, and the umask is
// the whole process's. So the file is made where nobody else can come, in a
// directory with mode 0700 beside path, gets its bits there, and then appears at
// path by link(2), which replaces nothing.
func listenAtPath(path string, mode fs.FileMode) (_ *socketFile, err error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".sock")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // Close does it, at the other path
	defer func() {
		if err != nil {
			listener.Close()
		}
	}()
	if err := os.Chmod(made, mode); err != nil {
		return nil, err
	}
	info, err := os.Lstat(made)
	if err != nil {
		return nil, err
	}
	if err := moveStale(path, filepath.Join(private, "stale")); err != nil {
		return nil, err
	}
	if err := os.Link(made, path); err != nil {
		return nil, err
	}
	s := &socketFile{UnixListener: listener, path: path, info: info}
	s.close = sync.OnceValue(s.closeAndRemove)
	return s, nil
}

// moveStale moves a stale socket file from path to aside. It leaves alone, with
// an error, what is no socket and what somebody listens on. No file at path is
// no error.
func moveStale(path, aside string) error {
	probed, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case probed.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("somebody listens on %s already", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s exists, and whether somebody listens on it could not be found out: %w", path, err)
	}
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	moved, err := os.Lstat(aside)
	if err == nil && os.SameFile(probed, moved) {
		return nil
	}
	// Somebody else replaced it since we looked: it goes back.
	return errors.Join(fmt.Errorf("%s was replaced meanwhile, try again", path), err, os.Link(aside, path))
}

// Close stops listening and removes the socket file, unless another has taken
// its place. It does so once, and a second call waits for the first.
func (s *socketFile) Close() error { return s.close() }

func (s *socketFile) closeAndRemove() error {
	err := s.UnixListener.Close()
	if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.info) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}
