//go:build unix

package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFile is a listener with a file of its own, which Close removes.
type socketFile struct {
	*net.UnixListener
	address *net.UnixAddr // where the file is
	info    fs.FileInfo   // of the file that we made, and no other
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
	parent := directoryOf(path)
	if long := len(parent + "/.p4294967295/" + made); long > maxPath {
		return nil, fmt.Errorf("the socket is made in a directory beside %s, where its path may have %d bytes, and the path of a socket has at most %d", path, long, maxPath)
	}
	if !want.shared {
		if err := checkParent(parent); err != nil {
			return nil, err
		}
	}
	private, err := makePrivate(parent)
	if err != nil {
		return nil, err
	}
	defer private.remove()
	listener, info, err := private.listen(network, want)
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
	now, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(now, info) {
		return nil, fmt.Errorf("%s is not the socket that was put there", path)
	}
	return &socketFile{listener, &net.UnixAddr{Name: path, Net: network}, info}, nil
}

// directoryOf is the directory that path is in, as the kernel reads it: unlike
// filepath.Dir it does not shorten "link/..".
func directoryOf(path string) string {
	directory, _ := filepath.Split(path)
	return cmp.Or(directory, ".")
}

// checkParent refuses a directory in which others can rename what we make: they
// could lead every step that goes by a path elsewhere.
func checkParent(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	othersWrite := info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && stat.Gid != uint32(os.Getegid())
	switch {
	case stat.Uid != uint32(os.Geteuid()) && stat.Uid != 0:
		return fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: take a directory of your own, or say AllowSharedDirectory", path, stat.Uid)
	case othersWrite && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: take a directory of your own, or say AllowSharedDirectory", path, info.Mode())
	}
	return nil
}

// Addr is where the file is, not where it was made.
func (s *socketFile) Addr() net.Addr { return s.address }

// Close removes the socket file, unless another has taken its place, and stops
// listening. It removes first: as long as we listen, nobody takes our file for
// a stale one and puts another in its place between the look and the removal.
func (s *socketFile) Close() error {
	var err error
	if now, statErr := os.Lstat(s.address.Name); statErr == nil && os.SameFile(now, s.info) {
		err = os.Remove(s.address.Name)
	}
	return errors.Join(err, s.UnixListener.Close())
}

// privateDir is a directory that no other user can enter. What is in it is looked
// at, changed and removed through the open directory and not by its path.
type privateDir struct {
	*os.Root
}

// The files in a privateDir.
const (
	made  = "s"
	aside = "o"
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
func (d *privateDir) listen(network string, want socketAttributes) (*net.UnixListener, fs.FileInfo, error) {
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: d.path(made), Net: network})
	if err != nil {
		return nil, nil, err
	}
	listener.SetUnlinkOnClose(false) // the name that stays is another
	info, err := d.setAttributes(want)
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	return listener, info, nil
}

// setAttributes sets owner and mode of the socket that was made in the directory,
// in this order: the owner that it had must not be able to use a wider mode.
func (d *privateDir) setAttributes(want socketAttributes) (fs.FileInfo, error) {
	info, err := d.Lstat(made)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is not the socket that was made there", d.path(made))
	}
	if want.uid != -1 || want.gid != -1 {
		if err := d.Lchown(made, want.uid, want.gid); err != nil {
			return nil, err
		}
	}
	return info, d.Chmod(made, want.mode)
}

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
	if err != nil || !stale {
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
