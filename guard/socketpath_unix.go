//go:build unix

package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

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
		return errors.New("AllowSharedDirectory requires Linux: other systems do not report which file is the socket's, so another user could make us change a file of their choice")
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
		return fmt.Errorf("%s is not the directory %s, which its symbolic links name: "+
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

// absolutePath makes path absolute. It does not shorten "link/..".
func absolutePath(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	here, err := os.Getwd()
	return here + "/" + path, err
}

// maxLinks is the number of symbolic links that the kernel follows in a path:
// path_resolution(7).
const maxLinks = 40

// checkDirectory refuses a directory in which others could replace our socket. Others could
// do that if they can rename files in the directory or in one that leads to it, or if they
// can change a symbolic link on the way.
//
// If allowShared is set, others may rename files in the directory itself, and users that our
// user namespace does not map are trusted. The result shared says whether the directory
// requires allowShared.
//
// The path must be absolute. checkDirectory walks it from the root, as the kernel does, and
// returns where it arrived. The kernel arrives elsewhere if a link on the way leads
// elsewhere than its text says, as /proc/PID/root does.
func checkDirectory(path string, allowShared bool) (where string, shared bool, err error) {
	here, parent, ahead := "/", step{}, components(path)
	for links := 0; len(ahead) > 0; {
		next := filepath.Join(here, ahead[0]) // ".." is right, since here leads through no link
		ahead = ahead[1:]
		now, err := lookAt(next)
		if err != nil {
			return "", false, err
		}
		err = now.check(allowShared)
		if err != nil && allowShared {
			shared = true
			if len(ahead) > 0 || now.isLink || parent.writable && now.isOthers() {
				err = now.checkUnlessUnmapped(allowShared)
			} else {
				err = nil
			}
		}
		if err != nil {
			return "", false, err
		}
		if !now.isLink {
			here, parent = next, now
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", false, err
		}
		if links++; links > maxLinks {
			return "", false, &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			here, parent = "/", step{}
		}
		ahead = append(components(target), ahead...)
	}
	return here, shared, nil
}

// components returns the names in a path, without "" and ".". An absolute path begins with
// "/".
func components(path string) []string {
	var names []string
	if filepath.IsAbs(path) {
		names = []string{"/"}
	}
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// step is a directory or a link on the way.
type step struct {
	path     string
	mode     fs.FileMode
	uid      uint32
	isLink   bool
	writable bool // by others; in a sticky directory they can rename only what is theirs
}

// lookAt looks at a link itself, not at its target. At a mount point it looks at the root of
// what is mounted there. The path "/." makes autofs mount what it mounts on demand.
func lookAt(path string) (step, error) {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		info, err = os.Lstat(path + "/.")
	}
	if err != nil {
		return step{}, err
	}
	isLink := info.Mode().Type() == fs.ModeSymlink // whose mode means nothing
	if !isLink && !info.IsDir() {
		return step{}, fmt.Errorf("%s is not a directory, and the socket cannot be in it: use another path: %w", path, syscall.ENOTDIR)
	}
	return step{path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, isLink, !isLink && info.Mode()&0o022 != 0}, nil
}

// check refuses a directory or a link that belongs to another user. It also refuses a
// directory in which others can rename our files.
//
// The overflow id stands for all users that our user namespace does not map. It counts as
// another user, even if it is our own uid.
func (s step) check(allowShared bool) error {
	if s.isUnmapped() {
		return fmt.Errorf("%s belongs to uid %d, which stands for every user that our user namespace does not map, including root: "+
			"mount a file system of your own there, or map its owner (AllowSharedDirectory trusts it)", s.path, s.uid)
	}
	return s.checkUnlessUnmapped(allowShared)
}

// checkUnlessUnmapped is check, and trusts users that our user namespace does not map.
func (s step) checkUnlessUnmapped(allowShared bool) error {
	switch {
	case s.isOthers() && !s.isUnmapped():
		return fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: %s", s.path, s.uid, advice(allowShared))
	case s.writable && s.mode&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: chmod go-w it, or %s", s.path, s.mode, advice(allowShared))
	}
	return nil
}

func (s step) isUnmapped() bool { return int64(s.uid) == overflow().uid }

// isOthers reports whether the owner is neither our user nor root.
func (s step) isOthers() bool { return s.uid != uint32(os.Geteuid()) && s.uid != 0 }

func advice(allowShared bool) string {
	text := "use a directory of your own, such as systemd's RuntimeDirectory= or $XDG_RUNTIME_DIR"
	if !allowShared {
		text += " (AllowSharedDirectory allows it for the socket's directory alone)"
	}
	return text
}

// longestLock bounds the wait for a lock, because every user who can read the directory can
// hold one. Another Listen holds it for a few system calls, which can be slow on a busy
// machine. Tests change it.
var longestLock = 10 * time.Second

// replaceStale removes the file if it is a stale socket file, and binds the socket in its
// place. It leaves any other file alone and returns an error.
//
// A lock on the directory keeps two calls from doing this at once. Every user who can read
// the directory can hold the lock, so replaceStale goes on without it after a while.
// Another server can then make its socket between our last check and the removal, and lose
// its file. No system has a call that removes a name only if it still names a certain file.
// The same can happen to a server that does not take the lock.
func (p *socketPath) replaceStale(ctx context.Context, socket *os.File) error {
	unlock, err := lockDirectory(ctx, p.directory)
	if err != nil {
		return err
	}
	defer unlock()
	inode, err := p.open() // its number is not reused meanwhile
	if err == nil {
		defer inode.close()
	} else if !errors.Is(err, unix.ENOENT) {
		return err
	}
	// Another bind(2) that has not ended may have made the file. The file looks stale until
	// then. Our bind waits for the other to end.
	if bindErr := p.tryBind(socket); !errors.Is(bindErr, unix.EADDRINUSE) || err != nil {
		return p.explain(bindErr)
	}
	stat, err := inode.stat()
	if err != nil {
		return err
	}
	if err := p.checkStale(inode, stat); err != nil {
		return err
	}
	if err := p.remove(idOfFile(stat)); err != nil {
		return err
	}
	return p.explain(p.tryBind(socket))
}

// checkStale returns nil for a stale socket file. To find out, we must connect to the file,
// which requires write permission. If the file is ours and lacks it, checkStale changes the
// mode.
func (p *socketPath) checkStale(inode socketInode, stat *unix.Stat_t) error {
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s exists and is not a socket: remove it, or use another path: %w", p.path, syscall.EADDRINUSE)
	}
	err := p.probe(inode)
	if !errors.Is(err, unix.EACCES) || int64(stat.Uid) != int64(os.Geteuid()) {
		return err
	}
	mode := permissions(stat)
	if err := inode.chmod(uint32(mode | 0o200)); err != nil {
		return &os.PathError{Op: "chmod", Path: p.path, Err: err}
	}
	return errors.Join(p.probe(inode), restoreMode(inode, mode))
}

// restoreMode gives a socket file back the mode that it had before checkStale, unless its
// server has set another mode meanwhile.
func restoreMode(inode socketInode, mode fs.FileMode) error {
	stat, err := inode.stat()
	if err != nil || permissions(stat) != mode|0o200 {
		return err
	}
	return inode.chmod(uint32(mode))
}

// probe returns nil if no socket is bound to the socket file.
//
// It uses a datagram socket, which cannot connect to a stream socket. If a socket is bound
// to the file, the kernel answers EPROTOTYPE, and the server does not notice. If none is,
// the kernel answers ECONNREFUSED. A stream socket would reach the server as a client. A
// server that does not listen yet would refuse it, and so would a busy server on systems
// other than Linux.
func (p *socketPath) probe(inode socketInode) error {
	fd, err := socketCloseOnExec(unix.SOCK_DGRAM)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: inode.path()}); err {
	case nil:
		return fmt.Errorf("%s belongs to a datagram socket: %w", p.path, syscall.EADDRINUSE)
	case unix.ECONNREFUSED:
		return nil
	case unix.EPROTOTYPE:
		return fmt.Errorf("another process listens on %s: stop it, or use another path: %w", p.path, syscall.EADDRINUSE)
	default:
		return fmt.Errorf("%s exists, and it is not known whether another process listens on it (connect: %w): remove it if none does: %w", p.path, err, syscall.EADDRINUSE)
	}
}

// lockDirectory takes a lock on a directory. Only other calls of Listen respect it. It
// keeps two of them from replacing the same file at once, which would make one of them
// fail. If no lock can be had, lockDirectory does nothing: if we may not read the
// directory, if its file system has no locks, or if another process holds it for too long.
// It returns an error if ctx ends first.
func lockDirectory(ctx context.Context, parent *os.File) (unlock func(), err error) {
	fd, err := unix.Openat(int(parent.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}, nil
	}
	directory := os.NewFile(uintptr(fd), parent.Name())
	unlock = func() { directory.Close() }
	for enough := time.After(longestLock); errors.Is(tryLock(directory), unix.EWOULDBLOCK); {
		select {
		case <-ctx.Done():
			unlock()
			return nil, fmt.Errorf("another process has locked %s to replace a socket in it: %w", parent.Name(), ctx.Err())
		case <-enough:
			return unlock, nil
		case <-time.After(time.Millisecond):
		}
	}
	return unlock, nil
}

// flock locks a file, or fails if another process has the lock. It is nil on systems where
// flock(2) does not lock directories: flock.go.
var flock func(fd int) error

func tryLock(directory *os.File) error {
	if flock == nil {
		return errors.ErrUnsupported
	}
	return onDescriptor(directory, flock)
}
