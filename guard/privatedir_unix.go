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

// privateDir is a directory that no other user can enter. What is in it is looked
// at, changed and removed through the open directory and not by its path.
type privateDir struct {
	*os.Root
	socket fs.FileInfo // of the file that we made there, nil if there is none
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
	d, err := openPrivate(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path)) // which removes it if it is empty
	}
	return d, nil
}

// openPrivate opens a directory that was just made at path, if it is that.
func openPrivate(path string) (*privateDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path, root); err != nil {
		root.Close()
		return nil, err
	}
	return &privateDir{Root: root}, nil
}

// checkPrivate refuses what somebody can have put in the directory's place: a link to
// a directory of ours, in which we would change files.
func checkPrivate(path string, root *os.Root) error {
	there, err := os.Lstat(path)
	if err != nil {
		return err
	}
	directory, err := root.Open(".")
	if err != nil {
		return err
	}
	defer directory.Close()
	opened, err := directory.Stat()
	if err != nil {
		return err
	}
	entries, err := directory.Readdirnames(-1)
	if err != nil {
		return err
	}
	ours := opened.Mode().Perm()&0o077 == 0 && opened.Sys().(*syscall.Stat_t).Uid == uint32(os.Geteuid())
	if !os.SameFile(there, opened) || !ours || len(entries) > 0 {
		return fmt.Errorf("%s is not the directory that was made there", path)
	}
	return dropDefaultACL(directory)
}

// path is not cleaned, which would shorten "link/..".
func (d *privateDir) path(name string) string { return d.Name() + "/" + name }

// remove removes the directory and the socket that we made in it: if there is
// anything else, it stays, and the directory too.
func (d *privateDir) remove() {
	if now, _ := d.Lstat(made); os.SameFile(now, d.socket) { // false of what is not there
		d.Remove(made)
	}
	d.Close()
	os.Remove(d.Name())
}

// listen makes a listening socket in the directory.
func (d *privateDir) listen(ctx context.Context, network string, want socketAttributes) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: want.control()}
	inner, err := config.Listen(ctx, network, d.path(made))
	if err != nil {
		return nil, err
	}
	listener := inner.(*net.UnixListener)
	listener.SetUnlinkOnClose(false) // the name that stays is another
	if err := d.setAttributes(want); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// setAttributes sets owner and mode of the socket that was made in the directory,
// in this order: the owner that it had must not be able to use a wider mode. Its
// owner need not be ours, as the group is that of the directory on the BSDs and, for a
// directory with the set-group-ID bit, on Linux.
func (d *privateDir) setAttributes(want socketAttributes) error {
	info, err := d.Lstat(made)
	switch {
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not the socket that was made there", d.path(made))
	}
	d.socket = info
	stat := info.Sys().(*syscall.Stat_t)
	if int64(stat.Uid) != int64(want.uid) || int64(stat.Gid) != int64(want.gid) {
		if err := d.Lchown(made, want.uid, want.gid); err != nil {
			return err
		}
	}
	return d.Chmod(made, want.mode)
}
