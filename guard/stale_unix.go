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
	"time"

	"golang.org/x/sys/unix"
)

// longestLock bounds the wait for a lock, because every user who can read the directory can
// hold one. Another Listen holds it for a few system calls, which can be slow on a busy
// machine. Tests change it.
var longestLock = 10 * time.Second

// replaceStale removes the file if it is a stale socket file, and binds the socket in its
// place. It leaves any other file alone and returns an error.
//
// A lock on the directory keeps two calls from doing this at once. Every user who can read
// the directory can hold the lock, so replaceStale goes on without it after a while.
// Another server can then make its socket between our last look and the removal, and lose
// its file: no system can remove a name only if it still names a certain file. The same can
// happen to a server that does not take the lock.
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
		return err
	}
	if err = p.probe(inode); err != nil {
		err = errors.Join(err, restoreMode(inode, mode))
	}
	return err
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
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: inode.path(), Net: "unixgram"})
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("%s belongs to a datagram socket: %w", p.path, syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("another process listens on %s: stop it, or use another path: %w", p.path, syscall.EADDRINUSE)
	}
	return fmt.Errorf("%s exists, and we cannot tell whether another process listens on it (%w): remove it if none does: %w", p.path, errnoOf(err), syscall.EADDRINUSE)
}

// errnoOf drops the name that package net gives to the probe.
func errnoOf(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return os.NewSyscallError("connect", errno)
	}
	return err
}
