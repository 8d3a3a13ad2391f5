//go:build unix

package native

import (
	"errors"
	"math"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supported reports whether this system has a call for [Credentials].
const Supported = true

// sockets has the methods that all systems with Unix sockets share. Each system embeds it.
// sockets calls kernel for anything that differs between systems.
type sockets struct{ unsupported }

// Linux has its own checkPacketEnds, and is the only system without checkUnixFamily.
var _ interface {
	checkUnixFamily(fd int) error
	checkPacketEnds() error
} = sockets{}

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

// internetKind returns the kind of a socket over IP.
func internetKind(socketType int) string {
	switch socketType {
	case unix.SOCK_STREAM:
		return "TCP"
	case unix.SOCK_DGRAM:
		return "UDP"
	}
	return "unknown"
}

// socketType returns SO_TYPE. A type below 1 means that the kernel wrote nothing.
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

// checkUnixFamily returns EAFNOSUPPORT if fd is not a Unix socket. On all systems except
// Linux it must come first, because sockets of other families answer the same call:
//
//   - SOL_LOCAL is IPPROTO_IP and LOCAL_PEERCRED is IP_OPTIONS. The call succeeds on a TCP
//     socket. It writes nothing if the socket has no IP options. Otherwise it writes up to
//     44 bytes that the socket's creator chose, which can read as version 0, one group and
//     uid 0. On NetBSD LOCAL_PEEREID is IP_TOS, which writes 4 bytes.
//   - OpenBSD accepts any socket whose protocol number is 1. That is AF_UNIX, and also ICMP.
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

// checkPacketEnds returns nil, because only a kernel that imitates Linux is known to confuse
// the ends of a SOCK_SEQPACKET connection.
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

// namesAPeer reports whether the kernel names a peer for fd, which has none.
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

// isNoPeer reports whether err means that a stream socket has no peer. It is EINVAL on
// NetBSD, and ENOTCONN elsewhere.
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
	case fds[0] < 0, fds[1] < 0, fds[0] == fds[1]: // not descriptors of ours, so do not close them
		return fds, unix.EPROTO
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds, nil
}

// checkDescriptor returns EBADF for a number that cannot be a descriptor. A kernel that reads
// an int would otherwise use descriptor 0 for 1<<32.
func checkDescriptor(fd int) error {
	if fd < 0 || fd > math.MaxInt32 {
		return unix.EBADF
	}
	return nil
}
