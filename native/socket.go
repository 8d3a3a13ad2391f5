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

// Kind tells what the descriptor fd is: "Unix", "TCP" or "UDP" for a socket of
// that family, "unknown" for a socket of any other and for what is no socket. It
// asks for the family (SO_DOMAIN on Linux, getsockname(2) elsewhere) and SO_TYPE;
// what is a stream over IP is "TCP", and datagrams over IP are "UDP".
func Kind(fd int) (kind string, err error) {
	if err := checkDescriptor(fd); err != nil {
		return "", err
	}
	switch family, err := addressFamily(fd); {
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

// CheckCanHavePeer returns ENOTCONN if fd is a socket whose [Credentials] would
// not be those of whoever is at the other end: one that listens, which on Linux
// answers with the ids of whoever called listen(2) on it, mostly our own; and a
// datagram socket, which can be connected to another one after the kernel took
// the credentials. It returns nil for any other. Ask it after Credentials, since
// a socket can begin to listen but not cease to.
//
// A kernel that names each end of a SOCK_SEQPACKET connection as its own peer, as
// gVisor does (release 20260905), is found out by two sockets of our own, and for such
// a socket the error is errors.ErrUnsupported then.
//
// OpenBSD does not tell who listens before it has SO_ACCEPTCONN (ENOPROTOOPT),
// and nil is right then: its listening sockets answer Credentials with ENOTCONN.
func CheckCanHavePeer(fd int) error {
	if err := checkDescriptor(fd); err != nil {
		return err
	}
	switch t, err := socketType(fd); {
	case err != nil:
		return err
	case t == unix.SOCK_DGRAM:
		return unix.ENOTCONN
	case t == unix.SOCK_SEQPACKET:
		if err := checkPacketEnds(); err != nil {
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

// Listens reports whether the socket fd listens (SO_ACCEPTCONN). On an OpenBSD that
// does not have SO_ACCEPTCONN it reports false.
func Listens(fd int) (bool, error) {
	if err := checkDescriptor(fd); err != nil {
		return false, err
	}
	return listens(fd)
}

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

// AnswersForCaller reports whether this kernel names the caller as the peer of
// a socket that has none. Such a kernel (gVisor before November 2025) answers
// every [Credentials] with the caller's own ids, whoever connected. It asks a
// fresh Unix socket; the error is that of socket(2), or of Credentials for a
// reason other than the lack of a peer.
func AnswersForCaller() (bool, error) {
	fd, err := unconnectedSocket()
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return namesAPeer(fd)
}

// namesAPeer asks about a socket of our own that has no peer.
func namesAPeer(fd int) (bool, error) {
	_, _, _, err := Credentials(fd)
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

// OnSocketpair calls ask with one end of a fresh pair of connected Unix sockets,
// both of this process, and closes them. The error is that of socketpair(2).
func OnSocketpair(ask func(fd int)) error {
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
