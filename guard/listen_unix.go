//go:build unix

package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFile is a listener on a socket file. Close removes the file.
type socketFile struct {
	*net.UnixListener
	madeFile
	keep atomic.Bool
}

// madeFile is a socket file that we made.
type madeFile struct {
	at   *socketPath
	file fileID
}

// maxPath is the length of the longest path that bind(2) and connect(2) take.
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// backlog is more than any kernel allows. Each kernel uses its own limit instead.
const backlog = 1<<16 - 1

// listenAtPath listens on a new socket file at path, with the wanted attributes. It
// replaces a stale socket file, and no other file.
//
// The file gets its attributes between bind and listen(2). Nobody can connect until listen.
// But a connect(2) may have passed the permission check by then, and can find the socket
// listening a moment later. So on Linux the file starts with permissions for its owner
// alone, and gets those of group and others last.
func listenAtPath(ctx context.Context, network, path string, want socketAttributes) (*socketFile, error) {
	s := new(socketFile)
	err := s.make(ctx, network, path, want, func(socket *os.File) (err error) {
		s.UnixListener, err = listenOn(socket)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// packetFile is a datagram socket with a file. Close removes the file.
type packetFile struct {
	*net.UnixConn
	madeFile
}

// packetsAtPath is listenAtPath for datagrams. They can arrive as soon as the file exists, from
// the users that its mode permits.
func packetsAtPath(ctx context.Context, path string, want socketAttributes) (*packetFile, error) {
	s := new(packetFile)
	err := s.make(ctx, "unixgram", path, want, func(socket *os.File) error {
		conn, err := net.FilePacketConn(socket)
		if err == nil {
			s.UnixConn = conn.(*net.UnixConn)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// make makes the file, and calls open with its socket. open must duplicate the socket.
//
// bind(2) gets the path as the caller gave it. The kernel names the socket by that path,
// and ss(8), lsof(8), AppArmor, SELinux and systemd-tmpfiles(8) use that name.
func (m *madeFile) make(ctx context.Context, network, path string, want socketAttributes, open func(socket *os.File) error) (err error) {
	m.at, err = openSocketPath(path, want.shared)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			m.at.close()
		}
	}()
	socket, err := newSocket(network, want)
	if err != nil {
		return err
	}
	defer socket.Close()
	if err := m.at.bind(ctx, socket); err != nil {
		return err
	}
	m.file, err = m.at.settle(socket, want)
	if err != nil {
		return err
	}
	if err := open(socket); err != nil {
		return errors.Join(err, m.at.remove(m.file))
	}
	return nil
}

// newSocket returns a socket that is not bound.
func newSocket(network string, want socketAttributes) (*os.File, error) {
	kinds := map[string]int{"unix": unix.SOCK_STREAM, "unixpacket": unix.SOCK_SEQPACKET, "unixgram": unix.SOCK_DGRAM}
	fd, err := socketCloseOnExec(kinds[network])
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	socket := os.NewFile(uintptr(fd), "socket")
	err = want.prepare(socket)
	if err == nil {
		err = os.NewSyscallError("fchmod", setModeAtBirth(fd, want.mode&0o700))
	}
	if err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// prepare sets the options of a socket before it has a name.
func (a socketAttributes) prepare(socket *os.File) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	return a.control("", "", raw)
}

// listenOn returns a listener of package net on a duplicate of the socket.
func listenOn(socket *os.File) (*net.UnixListener, error) {
	if err := unix.Listen(int(socket.Fd()), backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	listener, err := net.FileListener(socket)
	if err != nil {
		return nil, err
	}
	return listener.(*net.UnixListener), nil
}

// errReplaced means that the file now at the path is not ours to change or remove.
var errReplaced = errors.New("it is not the socket that was bound there: another user replaced it")

// settle sets the attributes of the file that bind(2) made, and returns which file it is.
// If that fails, settle removes the file, unless another has taken its place.
func (p *socketPath) settle(socket *os.File, want socketAttributes) (file fileID, err error) {
	inode, err := p.open()
	if errors.Is(err, unix.ENOENT) {
		return file, fmt.Errorf("%s: another process removed the socket that was bound there: %w", p.path, err)
	} else if err != nil {
		return file, err // the file is stale now, and the next Listen replaces it
	}
	defer inode.close()
	stat, err := inode.stat()
	if err != nil {
		return file, err
	}
	file = idOfFile(stat)
	err = p.setAttributes(inode, stat, socket, want)
	if err != nil && !errors.Is(err, errReplaced) {
		err = errors.Join(err, p.remove(file))
	}
	return file, err
}

// setAttributes sets the attributes that are not as wanted yet. It sets the permissions of
// a group only once the file has that group and no access control list. It sets the owner
// last, because the other changes require CAP_FOWNER once the file has another owner.
//
// It changes nothing if the kernel reports that the file is not the socket's. If the kernel
// does not report which file is, setAttributes changes nothing in a shared directory, where
// another user can exchange files.
func (p *socketPath) setAttributes(inode socketInode, stat *unix.Stat_t, socket *os.File, want socketAttributes) error {
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s: %w", p.path, errReplaced)
	}
	is, unknown := inode.isOf(socket)
	if unknown == nil && !is {
		return fmt.Errorf("%s: %w", p.path, errReplaced)
	}
	hasACL, err := inode.hasACL()
	switch {
	case err != nil:
		return err
	case !hasACL && want.areOf(stat) && !want.groupIsUnknown():
		return nil
	case p.shared && unknown != nil:
		return fmt.Errorf("cannot change the mode, the owner or the access control list of %s safely, because others can exchange files in its directory: %w: use a directory of your own", p.path, unknown)
	}
	if hasACL {
		if err := inode.removeACL(); err != nil {
			return fmt.Errorf("remove the access control list of %s, which comes from its directory: %w", p.path, err)
		}
	}
	if int64(stat.Gid) != int64(want.gid) || want.groupIsUnknown() {
		err := inode.chown(-1, want.gid)
		switch {
		case errors.Is(err, unix.EINVAL) && want.groupIsUnknown():
			return fmt.Errorf("%s can have the mode %#o only if gid %d is mapped, because that gid stands for every group that our user namespace does not map: map our group, or set Group: %w",
				p.path, want.mode, want.gid, err)
		case err != nil:
			return fmt.Errorf("give %s to gid %d: %w", p.path, want.gid, err)
		}
	}
	if permissions(stat) != want.mode {
		if err := inode.chmod(uint32(want.mode)); err != nil {
			return fmt.Errorf("chmod %s to %#o: %w", p.path, want.mode, err)
		}
	}
	if int64(stat.Uid) != int64(want.uid) {
		if err := inode.chown(want.uid, -1); err != nil {
			return fmt.Errorf("give %s to uid %d: %w", p.path, want.uid, err)
		}
	}
	return p.checkAttributes(inode, want)
}

// checkAttributes detects a file system that ignores chmod or chown.
func (p *socketPath) checkAttributes(inode socketInode, want socketAttributes) error {
	stat, err := inode.stat()
	if err != nil {
		return err
	}
	if !want.areOf(stat) {
		return fmt.Errorf("the file system of %s gives the socket the mode %#o, uid %d and gid %d instead of %#o, %d and %d: use another file system, such as a tmpfs",
			p.path, permissions(stat), stat.Uid, stat.Gid, want.mode, want.uid, want.gid)
	}
	return nil
}

// areOf reports whether a file has these attributes.
func (a socketAttributes) areOf(stat *unix.Stat_t) bool {
	return permissions(stat) == a.mode && int64(stat.Uid) == int64(a.uid) && int64(stat.Gid) == int64(a.gid)
}

// groupIsUnknown reports whether the mode permits something to the overflow gid. That gid
// stands for every group that our user namespace does not map, such as the group of a
// set-group-ID directory. stat(2) does not distinguish those groups. Only chown(2) shows
// whether the gid is also mapped.
func (a socketAttributes) groupIsUnknown() bool {
	return a.mode&0o070 != 0 && int64(a.gid) == overflow().gid
}

func permissions(stat *unix.Stat_t) fs.FileMode { return fs.FileMode(stat.Mode & 0o7777) }

// SetUnlinkOnClose sets whether Close removes the file, like
// [net.UnixListener.SetUnlinkOnClose].
func (s *socketFile) SetUnlinkOnClose(unlink bool) { s.keep.Store(!unlink) }

// Close removes the socket file, unless another has taken its place, and then stops
// listening. It removes the file first. While the socket listens, no other server mistakes
// our file for a stale one and replaces it between our check and the removal.
func (s *socketFile) Close() error {
	var err error
	if !s.keep.Load() {
		err = s.at.remove(s.file)
	}
	s.at.close()
	return errors.Join(err, s.UnixListener.Close())
}

// Close removes the socket file first, as that of a listener does.
func (s *packetFile) Close() error {
	err := s.at.remove(s.file)
	s.at.close()
	return errors.Join(err, s.UnixConn.Close())
}

// onDescriptor calls do with the descriptor of a file or a socket, which stays open
// meanwhile.
func onDescriptor(open syscall.Conn, do func(fd int) error) error {
	raw, err := open.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = do(int(fd)) })
	return errors.Join(err, done)
}

// descriptorsIn returns the descriptors in control messages.
func descriptorsIn(control []byte) (files []*os.File) {
	messages, _ := syscall.ParseSocketControlMessage(control)
	for _, m := range messages {
		fds, _ := syscall.ParseUnixRights(&m)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files
}

// setCloseOnExec returns an error if fd is not a descriptor.
func setCloseOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return os.NewSyscallError("fcntl(F_SETFD)", err)
}

// checkListens returns an error if file is not a listening socket.
func checkListens(file *os.File) error {
	return onDescriptor(file, func(fd int) error {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		switch {
		case err != nil:
			return os.NewSyscallError("getsockopt(SO_ACCEPTCONN)", err)
		case listens == 0:
			return fmt.Errorf("the socket does not listen: the socket unit requires ListenStream= or ListenSequentialPacket=, and Accept=no: %w", unix.EINVAL)
		}
		return nil
	})
}

// descriptorLimit returns how many descriptors this process may have (RLIMIT_NOFILE), or
// the usual 1024 if the system does not report it.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return usualDescriptorLimit
	}
	return inInt(limit.Cur)
}

// inInt returns n, or the largest int32 if n is larger, as the value for no limit is. The
// type differs on FreeBSD.
func inInt[T int64 | uint64](n T) int { return int(min(n, math.MaxInt32)) }

const usualDescriptorLimit = 1024

// isShortage recognizes the errnos that Go does not call temporary: those of accept(2) for
// a lack of memory, and that of epoll_ctl(2) when a user has no watches left.
func isShortage(err error) bool {
	return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOSPC)
}

// isNotAccepted recognizes the errno of [peercred.GetLoopbackPeerUID] for a connection that
// the server has not accepted.
func isNotAccepted(err error) bool { return errors.Is(err, unix.EAGAIN) }

// isInUse recognizes the errno of bind(2) for an address that is taken.
func isInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
