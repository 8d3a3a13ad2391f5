//go:build unix

package native

import (
	"errors"
	"math"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supported tells whether this system has a call that answers [Credentials].
const Supported = true

// sockets is what the systems with Unix sockets have in common. Each of them embeds it. What
// answers may differ between them is asked of kernel.
type sockets struct{ unsupported }

// kind asks for the family (SO_DOMAIN on Linux, getsockname(2) elsewhere) and SO_TYPE. A
// stream over IP is "TCP", and datagrams over IP are "UDP".
func (sockets) kind(fd int) (kind string, err error) {
	if err := checkDescriptor(fd); err != nil {
		return "", err
	}
	switch family, err := kernel.family(fd); {
	case errors.Is(err, unix.ENOTSOCK):
		return "unknown", nil
	case err != nil:
		return "", err
	case family == unix.AF_UNIX:
		return "Unix", nil
	case family == unix.AF_INET, family == unix.AF_INET6:
		t, err := socketType(fd)
		if err != nil {
			return "", err
		}
		return internetKind(t), nil
	}
	return "unknown", nil
}

// internetKind is what a socket over IP is, by its type.
func internetKind(socketType int) string {
	switch socketType {
	case unix.SOCK_STREAM:
		return "TCP"
	case unix.SOCK_DGRAM:
		return "UDP"
	}
	return "unknown"
}

// socketType is SO_TYPE. No socket is of a type below 1: the kernel wrote nothing then.
func socketType(fd int) (int, error) {
	t, err := socketOption(fd, unix.SO_TYPE)
	switch {
	case err != nil:
		return 0, err
	case t < 1:
		return 0, unix.EPROTO
	}
	return t, nil
}

// checkUnixFamily returns EAFNOSUPPORT for what is not a Unix socket. On the systems other
// than Linux it must come first, because sockets of other families answer the same question:
//
//   - SOL_LOCAL is IPPROTO_IP and LOCAL_PEERCRED is IP_OPTIONS. A TCP socket without options
//     succeeds and writes nothing. With options it writes up to 44 bytes that its creator
//     chose, which can read as version 0, one group, uid 0. On NetBSD LOCAL_PEEREID is
//     IP_TOS, which writes 4 bytes.
//   - OpenBSD takes a socket for a Unix socket if its protocol number is 1, which is AF_UNIX
//     and also ICMP.
//   - getpeerucred(3C) and SO_PEERID answer for TCP.
func (s sockets) checkUnixFamily(fd int) error {
	switch kind, err := s.kind(fd); {
	case err != nil:
		return err
	case kind != "Unix":
		return unix.EAFNOSUPPORT
	}
	return nil
}

func (sockets) checkCanHavePeer(fd int) error {
	if err := checkDescriptor(fd); err != nil {
		return err
	}
	switch t, err := socketType(fd); {
	case err != nil:
		return err
	case t == unix.SOCK_DGRAM:
		return unix.ENOTCONN
	case t == unix.SOCK_SEQPACKET:
		if err := kernel.checkPacketEnds(); err != nil {
			return err
		}
	}
	switch listens, err := listens(fd); {
	case err != nil:
		return err
	case listens:
		return unix.ENOTCONN
	}
	return nil
}

// checkPacketEnds returns nil: only a kernel that imitates Linux is known to confuse the ends
// of a SOCK_SEQPACKET connection.
func (sockets) checkPacketEnds() error { return nil }

func (sockets) listens(fd int) (bool, error) {
	if err := checkDescriptor(fd); err != nil {
		return false, err
	}
	return listens(fd)
}

// listens returns false on an OpenBSD without SO_ACCEPTCONN.
func listens(fd int) (bool, error) {
	listens, err := socketOption(fd, unix.SO_ACCEPTCONN)
	switch {
	case runtime.GOOS == "openbsd" && errors.Is(err, unix.ENOPROTOOPT):
		return false, nil
	case err != nil:
		return false, err
	}
	return listens != 0, nil
}

func (sockets) answersForCaller() (bool, error) {
	fd, err := unconnectedSocket()
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return namesAPeer(fd)
}

// namesAPeer asks about a socket of our own that has no peer.
func namesAPeer(fd int) (bool, error) {
	_, _, _, err := kernel.credentials(fd)
	switch {
	case err == nil:
		return true, nil
	case isNoPeer(err):
		return false, nil
	}
	return false, err
}

// isNoPeer knows the errnos with which the kernels say that a stream socket has
// no peer: NetBSD's is EINVAL, that of all others ENOTCONN.
func isNoPeer(err error) bool {
	return errors.Is(err, unix.ENOTCONN) || runtime.GOOS == "netbsd" && errors.Is(err, unix.EINVAL)
}

func unconnectedSocket() (fd int, err error) {
	syscall.ForkLock.RLock() // not every system has SOCK_CLOEXEC
	defer syscall.ForkLock.RUnlock()
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, nil
}

func (sockets) onSocketpair(ask func(fd int)) error {
	fds, err := socketpair()
	if err != nil {
		return err
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	ask(fds[0])
	return nil
}

func socketpair() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	switch {
	case err != nil:
		return fds, err
	case fds[0] < 0, fds[1] < 0, fds[0] == fds[1]: // what the kernel did not make is not ours to use, nor to close
		return fds, unix.EPROTO
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds, nil
}

// checkDescriptor returns EBADF for what no descriptor can be. Without it a
// kernel that reads an int would take 1<<32 for descriptor 0.
func checkDescriptor(fd int) error {
	if fd < 0 || fd > math.MaxInt32 {
		return unix.EBADF
	}
	return nil
}
