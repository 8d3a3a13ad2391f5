//go:build linux

package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"example.com/peercred"
)

// canVerify reports whether isOf can have an answer.
const canVerify = true

// openParent requires only permission to search the directories that lead there.
func openParent(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
}

func socketCloseOnExec(kind int) (int, error) {
	return unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// setModeAtBirth sets the mode that the file gets in bind(2), without the bits that the
// umask removes: unix_bind_bsd in net/unix/af_unix.c.
func setModeAtBirth(socket int, mode fs.FileMode) error { return unix.Fchmod(socket, uint32(mode)) }

// socketInode is a handle on a socket file, an O_PATH descriptor. It does not refer to
// another file that takes the name.
type socketInode struct {
	at *socketPath
	fd int
}

// open does not follow a link.
func (p *socketPath) open() (socketInode, error) {
	fd, err := unix.Openat(p.fd(), p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return socketInode{}, &os.PathError{Op: "open", Path: p.path, Err: err}
	}
	return socketInode{p, fd}, nil
}

func (i socketInode) close() { unix.Close(i.fd) }

func (i socketInode) stat() (*unix.Stat_t, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(i.fd, &stat); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	return &stat, nil
}

// path leads to the file, for calls that take no O_PATH descriptor. Without /proc it is the
// path of the caller, unless others can exchange files there.
func (i socketInode) path() string {
	path := "/proc/self/fd/" + strconv.Itoa(i.fd)
	if _, err := os.Lstat(path); err != nil && !i.at.shared {
		return i.at.path
	}
	return path
}

// chmod works without fchmodat2(2), for Linux before 6.6 and for sandboxes that do not know
// it.
func (i socketInode) chmod(mode uint32) error {
	if unix.Fchmodat(i.fd, "", mode, unix.AT_EMPTY_PATH) == nil {
		return nil
	}
	return i.needProc(unix.Chmod(i.path(), mode))
}

func (i socketInode) chown(uid, gid int) error {
	return unix.Fchownat(i.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

// accessACL is the access control list of a file: acl(5).
const accessACL = "system.posix_acl_access"

// hasACL reports whether the file has an access control list. It has one if its directory
// has a default one. Users that are named in it could connect without being in the group.
func (i socketInode) hasACL() (bool, error) {
	_, err := unix.Getxattr(i.path(), accessACL, nil)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	}
	return false, fmt.Errorf("find out whether the socket file has an access control list: %w", i.needProc(err))
}

func (i socketInode) removeACL() error { return unix.Removexattr(i.path(), accessACL) }

func (i socketInode) needProc(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: mount /proc", err)
	}
	return err
}

// isOf reports whether the file is the one that the socket is bound to.
func (i socketInode) isOf(socket *os.File) (bool, error) {
	stat, err := i.stat()
	if err != nil {
		return false, err
	}
	bound, err := boundInode(int(socket.Fd()))
	return err == nil && bound == uint32(stat.Ino), err
}

// From linux/unix_diag.h, which golang.org/x/sys does not have.
const (
	udiagShowVFS = 0x2 // UDIAG_SHOW_VFS
	unixDiagVFS  = 1   // UNIX_DIAG_VFS
	diagMsgLen   = 16  // of struct unix_diag_msg
)

// boundInode asks the kernel's table of sockets for the inode number of the file that a
// socket is bound to. The table has 32 bits of that number.
//
// Source: sock_diag(7), net/unix/diag.c.
func boundInode(socket int) (uint32, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(socket, &stat); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt(SO_COOKIE)", err)
	}
	answer, err := askUnixDiag(uint32(stat.Ino), cookie)
	if err != nil {
		return 0, fmt.Errorf("ask the kernel which file the socket is bound to: %w", err)
	}
	inode, ok := parseUnixDiag(answer)
	if !ok {
		return 0, errors.New("the kernel does not report which file the socket is bound to")
	}
	return inode, nil
}

// askUnixDiag does not wait: the kernel answers before sendto(2) returns.
func askUnixDiag(socketInode uint32, cookie uint64) (answer []byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket(NETLINK_SOCK_DIAG)", err)
	}
	defer unix.Close(fd)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(fd, unixDiagRequest(socketInode, cookie), 0, kernel); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	answer = make([]byte, 4096)
	n, from, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, os.NewSyscallError("recvfrom", err)
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return nil, errors.New("the answer is not the kernel's")
	}
	return answer[:n], nil
}

// unixDiagRequest returns a struct nlmsghdr and a struct unix_diag_req for one socket. The
// cookie distinguishes the socket from others that had its number.
func unixDiagRequest(inode uint32, cookie uint64) []byte {
	order := binary.NativeEndian
	b := order.AppendUint32(nil, 40) // its length
	b = order.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = order.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence number, port
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = order.AppendUint32(b, ^uint32(0)) // states
	b = order.AppendUint32(b, inode)
	b = order.AppendUint32(b, udiagShowVFS)
	b = order.AppendUint32(b, uint32(cookie&0xffffffff))
	return order.AppendUint32(b, uint32(cookie>>32))
}

// parseUnixDiag finds the inode number in the attribute UNIX_DIAG_VFS.
func parseUnixDiag(answer []byte) (inode uint32, ok bool) {
	order := binary.NativeEndian
	if len(answer) < unix.NLMSG_HDRLEN+diagMsgLen || order.Uint16(answer[4:]) != unix.SOCK_DIAG_BY_FAMILY {
		return 0, false
	}
	attributes := answer[unix.NLMSG_HDRLEN+diagMsgLen:]
	for len(attributes) >= unix.SizeofRtAttr {
		length, kind := int(order.Uint16(attributes)), order.Uint16(attributes[2:])
		if length < unix.SizeofRtAttr || length > len(attributes) {
			return 0, false
		}
		if kind == unixDiagVFS && length >= unix.SizeofRtAttr+8 {
			return order.Uint32(attributes[unix.SizeofRtAttr:]), true
		}
		attributes = attributes[min((length+3)&^3, len(attributes)):]
	}
	return 0, false
}

// checkPackets asks who is at the other end of a pair of packet sockets of our own. Some
// emulators, such as gVisor, confuse the ends. A server then gets an error at start instead
// of denying every peer.
func checkPackets() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	end := os.NewFile(uintptr(pair[0]), "socketpair")
	defer end.Close()
	_, err = peercred.GetPeerCredentialsOf(end)
	return err
}
