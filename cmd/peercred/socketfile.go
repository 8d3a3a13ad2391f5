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

	"golang.org/x/sys/unix"
)

// socketFile is a listener with a file of its own, which Close removes.
type socketFile struct {
	*net.UnixListener
	path  string
	info  fs.FileInfo // of the file that we made, and no other
	close func() error
}

// maxPath is how long a path may be that connect(2) takes.
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// listenAtPath listens on a socket file at path, which has the given permission
// bits from its first instant there and replaces a socket file that no socket
// belongs to any more, but nothing else.
//
// bind(2) makes the file with what the umask leaves of 0777, and the umask is
// the whole process's. So the file is made where nobody else can come, in a
// directory with mode 0700 beside path, gets its bits there, and then appears at
// path by link(2), which replaces nothing.
func listenAtPath(path string, mode fs.FileMode) (_ *socketFile, err error) {
	if path == "" {
		return nil, errors.New("the address is empty")
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s has %d bytes, and the path of a socket has at most %d", path, len(path), maxPath)
	}
	private, err := makePrivate(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer private.remove()
	listener, info, err := private.listen(mode)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			listener.Close()
		}
	}()
	if err := private.takeStale(path); err != nil {
		return nil, err
	}
	if err := os.Link(private.path(made), path); err != nil {
		return nil, err
	}
	now, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(now, info) {
		return nil, fmt.Errorf("%s is not the socket that was put there", path)
	}
	s := &socketFile{UnixListener: listener, path: path, info: info}
	s.close = sync.OnceValue(s.removeAndClose)
	return s, nil
}

// Close removes the socket file, unless another has taken its place, and stops
// listening. It does so once, and a second call waits for the first.
func (s *socketFile) Close() error { return s.close() }

// removeAndClose removes first: as long as we listen, nobody takes our file for
// a stale one and puts another in its place between the look and the removal.
func (s *socketFile) removeAndClose() error {
	var err error
	if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.info) {
		err = os.Remove(s.path)
	}
	return errors.Join(err, s.UnixListener.Close())
}

// privateDir is a directory that no other user can enter. What is in it is
// reached through the open directory, since whoever owns the one that it is in
// can put another in its place.
type privateDir struct {
	*os.Root
}

// The files in a privateDir.
const (
	made  = "s"
	stale = "stale"
)

func makePrivate(parent string) (*privateDir, error) {
	path, err := os.MkdirTemp(parent, ".p")
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	d := &privateDir{root}
	info, err := root.Stat(".")
	if err == nil && (info.Mode().Perm()&0o077 != 0 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid())) {
		err = fmt.Errorf("%s is not the directory that was made there", path)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return d, nil
}

func (d *privateDir) path(name string) string { return filepath.Join(d.Name(), name) }

// remove removes the directory and the files that we know to be in it: if there
// is anything else, it stays, and the directory too.
func (d *privateDir) remove() {
	d.Remove(made)
	d.Close()
	os.Remove(d.Name())
}

// listen makes a listening socket in the directory.
func (d *privateDir) listen(mode fs.FileMode) (*net.UnixListener, fs.FileInfo, error) {
	path := d.path(made)
	if len(path) > maxPath {
		return nil, nil, fmt.Errorf("the socket is made at %s, which has %d bytes, and the path of a socket has at most %d", path, len(path), maxPath)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	listener.SetUnlinkOnClose(false) // the name that stays is another
	info, err := d.setMode(mode)
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	return listener, info, nil
}

// setMode sets the mode of the socket that was made in the directory.
func (d *privateDir) setMode(mode fs.FileMode) (fs.FileInfo, error) {
	info, err := d.Lstat(made)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is not the socket that was made there", d.path(made))
	}
	return info, d.Chmod(made, mode)
}

// takeStale moves a stale socket file from path into the directory, and removes
// it there. It leaves alone, with an error, what is no socket and what belongs to
// one. No file at path is no error. Two that run at once are kept apart by a lock
// on the directory that path is in.
func (d *privateDir) takeStale(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	probed, err := probeStale(path)
	if err != nil || probed == nil {
		return err
	}
	return d.take(path, probed)
}

// probeStale returns the file at path if it is a stale socket file, and nil if
// there is none.
//
// The probe is a datagram socket, which cannot connect to a stream socket: the
// kernel answers EPROTOTYPE if any socket belongs to the file, without that one's
// noticing, and ECONNREFUSED if none does. A stream socket would be a visitor to
// the server, and would be refused by one that has not begun to listen or, but on
// Linux, is busy.
func probeStale(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s exists and is not a socket", path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	switch {
	case err == nil:
		conn.Close()
		return nil, fmt.Errorf("%s belongs to a datagram socket", path)
	case errors.Is(err, syscall.EPROTOTYPE):
		return nil, fmt.Errorf("somebody listens on %s already", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%s exists, and whether somebody listens on it could not be found out: %w", path, err)
	}
	return info, nil
}

// take moves the file at path into the directory and removes it there, if it is
// the one that was probed. If another has taken its place since, that one goes
// back; if it cannot, it stays where it is, and the error says where.
func (d *privateDir) take(path string, probed fs.FileInfo) error {
	if err := os.Rename(path, d.path(stale)); err != nil {
		return err
	}
	moved, err := d.Lstat(stale)
	if err == nil && os.SameFile(probed, moved) {
		return d.Remove(stale)
	}
	if err := os.Link(d.path(stale), path); err != nil {
		return fmt.Errorf("%s was replaced meanwhile, and what replaced it is now %s: %w", path, d.path(stale), err)
	}
	return errors.Join(fmt.Errorf("%s was replaced meanwhile, try again", path), d.Remove(stale))
}
