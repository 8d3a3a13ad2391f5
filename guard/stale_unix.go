//go:build unix

package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// replaceStale removes the file if it is a stale socket file, and binds the socket in its
// place. What is no socket, and what belongs to one, is left alone, with an error.
//
// A lock on the directory keeps two that do this at once apart, unless somebody else holds
// it for long: every user who can read the directory can. Between our last look and
// the removal another server can then make its socket there, and lose its file: no system
// removes a name only if it still is a certain file's. The same goes for a server that does
// not take the lock.
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
	// A bind(2) that has not ended may have made the file, which looks stale until then. It
	// keeps ours waiting.
	if bindErr := p.tryBind(socket); !errors.Is(bindErr, unix.EADDRINUSE) || err != nil {
		return p.explain(bindErr)
	}
	if err := p.checkStale(inode); err != nil {
		return err
	}
	stat, err := inode.stat()
	if err != nil {
		return err
	}
	if err := p.remove(idOfFile(stat)); err != nil {
		return err
	}
	return p.explain(p.tryBind(socket))
}

// checkStale returns nil for a stale socket file. Of one of ours that we may not write,
// and so not connect to, it changes the mode to find out.
func (p *socketPath) checkStale(inode socketInode) error {
	stat, err := inode.stat()
	switch {
	case err != nil:
		return err
	case stat.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%s exists and is not a socket: %w", p.path, syscall.EADDRINUSE)
	}
	err = p.probe(inode)
	if !errors.Is(err, unix.EACCES) || int64(stat.Uid) != int64(os.Geteuid()) {
		return err
	}
	mode := permissions(stat)
	if err := inode.chmod(uint32(mode | 0o200)); err != nil {
		return err
	}
	if err = p.probe(inode); err != nil {
		err = errors.Join(err, inode.chmod(uint32(mode)))
	}
	return err
}

// probe returns nil for a socket file that no socket is bound to.
//
// The probe is a datagram socket, which cannot connect to a stream socket: the
// kernel answers EPROTOTYPE if any socket is bound to the file, without its noticing,
// and ECONNREFUSED if none is. A stream socket would be a visitor to the server, and
// would be refused by one that does not listen yet or, but on Linux, is busy.
func (p *socketPath) probe(inode socketInode) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: inode.path(), Net: "unixgram"})
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("%s belongs to a datagram socket: %w", p.path, syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("another process listens on %s: %w", p.path, syscall.EADDRINUSE)
	}
	return fmt.Errorf("%s exists, and whether another process listens on it could not be found out: remove it if none does: %w", p.path, errnoOf(err))
}

// errnoOf leaves out the name that package net gives the probe.
func errnoOf(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return os.NewSyscallError("connect", errno)
	}
	return err
}
