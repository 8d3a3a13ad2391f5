//go:build unix && !linux

package guard

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// canVerify reports whether isOf can have an answer.
const canVerify = false

func openParent(path string) (*os.File, error) { return os.Open(path) }

func socketCloseOnExec(kind int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// setModeAtBirth does nothing: fchmod(2) on a socket fails. The file starts with the mode
// 0777 without the bits of the umask.
func setModeAtBirth(int, fs.FileMode) error { return nil }

// socketInode is a name. Nobody else can exchange files in its directory.
type socketInode struct{ *socketPath }

func (p *socketPath) open() (socketInode, error) { return socketInode{p}, nil }

func (socketInode) close() {}

func (i socketInode) path() string { return i.socketPath.path }

func (i socketInode) chmod(mode uint32) error {
	return unix.Fchmodat(i.fd(), i.name, mode, unix.AT_SYMLINK_NOFOLLOW)
}

func (i socketInode) chown(uid, gid int) error {
	return unix.Fchownat(i.fd(), i.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// hasACL returns false: the other systems have other kinds of access control lists, which
// golang.org/x/sys does not support.
func (socketInode) hasACL() (bool, error) { return false, nil }

func (socketInode) removeACL() error { return errors.ErrUnsupported }

func (socketInode) isOf(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// duplicate returns a second descriptor of a socket, which is closed on exec.
func duplicate(socket syscall.Conn) (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd = -1
	err = onDescriptor(socket, func(from int) (err error) {
		if fd, err = unix.Dup(from); err == nil {
			unix.CloseOnExec(fd)
		}
		return os.NewSyscallError("dup", err)
	})
	return fd, err
}

// refuseDescriptors does nothing: only Linux can refuse descriptors.
func refuseDescriptors(string, string, syscall.RawConn) error { return nil }

func descriptorsAreRefused(syscall.Conn) bool { return false }

func hasNoDescriptors(net.Conn) bool { return false }

// checkPackets does nothing: only emulators of Linux confuse the ends of packet sockets.
func checkPackets() error { return nil }

// closeLast calls end and returns its result. A way to end a close that a peer makes slow is
// known only for Linux.
func closeLast(_ syscall.Conn, end func() error) error { return end() }

func (c *Conn) read(b []byte) (int, error) { return c.Conn.Read(b) }

// watch is never used: [Config.check] refuses CloseOnExit on systems without a handle on a
// process.
type watch struct{}

func newWatch() (*watch, error) { return nil, errors.ErrUnsupported }

func (*watch) add(*Conn) error { return errors.ErrUnsupported }

func (*watch) remove(*Conn) {}

func (*watch) close() {}
