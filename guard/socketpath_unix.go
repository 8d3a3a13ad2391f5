//go:build unix

package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketPath is where a socket file is, or will be: a name in an open directory. Every
// look, change and removal there goes through the open directory.
type socketPath struct {
	path      string // as the caller gave it
	directory *os.File
	name      string
	shared    bool // others can exchange files in the directory
}

// fileID identifies a file among all files that exist. Almost no file system reuses the
// number of a file while the file is open, or while a socket is bound to it.
type fileID struct{ device, inode uint64 }

func idOfFile(stat *unix.Stat_t) fileID {
	return fileID{widen(stat.Dev), widen(stat.Ino)}
}

// widen converts fields whose types differ between systems.
func widen[T int32 | uint16 | uint32 | int64 | uint64](n T) uint64 { return uint64(n) }

// openSocketPath opens the directory of path. It refuses a directory in which others could
// put another file in the socket's place. If allowShared is set, it refuses only a
// directory that others could replace by another directory.
func openSocketPath(path string, allowShared bool) (*socketPath, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path %s has %d bytes, and a socket path has at most %d: use a shorter one", path, len(path), maxPath)
	}
	parent, name := filepath.Split(path) // unlike filepath.Dir it does not shorten "link/.."
	if name == "" {
		return nil, fmt.Errorf("%s names a directory: add the name of the socket", path)
	}
	p := &socketPath{path: path, name: name}
	err := p.openDirectory(cmp.Or(parent, "."), allowShared)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("the directory of %s does not exist: make it first: %w", path, err)
	} else if err != nil {
		return nil, err
	}
	return p, nil
}

// openDirectory also sets p.shared. The kernel walks the path again in bind(2). If the
// checks pass, only we and root can lead that walk elsewhere.
func (p *socketPath) openDirectory(parent string, allowShared bool) error {
	absolute, err := absolutePath(parent)
	if err != nil {
		return err
	}
	where, shared, err := checkDirectory(absolute, allowShared)
	switch {
	case err != nil:
		return err
	case shared && !canVerify:
		return errors.New("AllowSharedDirectory requires Linux: other systems do not tell which file is the socket's, so another user could make us change a file of their choice")
	}
	directory, err := openParent(parent)
	if err != nil {
		return err
	}
	if err := checkIsSame(directory, where); err != nil {
		directory.Close()
		return err
	}
	p.directory, p.shared = directory, shared
	return nil
}

// checkIsSame returns an error if another directory was opened than the one that was
// checked.
func checkIsSame(directory *os.File, checked string) error {
	opened, err := directory.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(checked)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, now) {
		return fmt.Errorf("%s is not the directory %s, to which the links on the way lead by their text: "+
			"it was replaced meanwhile, or a link of /proc leads elsewhere: use a path without such links", directory.Name(), checked)
	}
	return nil
}

func (p *socketPath) fd() int { return int(p.directory.Fd()) }

func (p *socketPath) close() { p.directory.Close() }

// bind makes the socket file. It replaces a stale one.
func (p *socketPath) bind(ctx context.Context, socket *os.File) error {
	err := p.tryBind(socket)
	if !errors.Is(err, unix.EADDRINUSE) {
		return p.explain(err)
	}
	return p.replaceStale(ctx, socket)
}

func (p *socketPath) tryBind(socket *os.File) error {
	return os.NewSyscallError("bind", unix.Bind(int(socket.Fd()), &unix.SockaddrUnix{Name: p.path}))
}

// explain adds to an error of bind(2) what to do about it.
func (p *socketPath) explain(err error) error {
	directory := filepath.Dir(p.path)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another process made a file at %s meanwhile", err, p.path)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: uid %d may not make a socket in %s: use a directory that it can write, such as systemd's RuntimeDirectory= or $XDG_RUNTIME_DIR", err, os.Geteuid(), directory)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %s is read-only: use a directory such as /run", err, directory)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: the file system of %s may not support sockets: use another, such as a tmpfs", err, directory)
	}
	return err
}

// stat looks at the file itself, not through a link. The error is ENOENT if there is no
// file.
func (p *socketPath) stat() (*unix.Stat_t, error) {
	var stat unix.Stat_t
	if err := unix.Fstatat(p.fd(), p.name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, &os.PathError{Op: "lstat", Path: p.path, Err: err}
	}
	return &stat, nil
}

// remove removes the file. It does nothing if there is no file, or another one.
func (p *socketPath) remove(file fileID) error {
	stat, err := p.stat()
	if errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return err
	}
	if idOfFile(stat) != file {
		return nil
	}
	return p.unlink()
}

func (p *socketPath) unlink() error {
	err := unix.Unlinkat(p.fd(), p.name, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("remove %s: it is a mount point: mount its directory instead: %w", p.path, err)
	} else if err != nil {
		return &os.PathError{Op: "remove", Path: p.path, Err: err}
	}
	return nil
}
