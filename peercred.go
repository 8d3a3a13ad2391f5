package peercred

import (
	"log/slog"
	"net"
	"strconv"
	"syscall"
)

// PeerCredentials are the ids of the process at the other end of a Unix socket,
// as the kernel knows them. They are effective ids, captured when the connection
// was made, and do not follow the process: see the package documentation for
// when exactly each system captures them and what they cannot tell.
type PeerCredentials struct {
	// PID is the process id, 1 or greater, in our own pid namespace. It is 0
	// where the kernel does not tell: a peer in a pid namespace that we do not
	// see, DragonFly, FreeBSD before 13.0 and 12.3, macOS once the peer has
	// closed. It never means "any process", so a rule about pids must refuse 0.
	// A pid can be taken by another process as soon as its owner is reaped.
	PID int32 `json:"pid"`
	// UID is the effective user id, 0 to 4294967294. On Linux an id that our
	// user namespace does not map is the overflow id, 65534.
	UID uint32 `json:"uid"`
	// GID is the effective group id, 0 to 4294967294, mapped like UID. It is
	// the peer's primary group, unless it took another, as newgrp(1) does.
	GID uint32 `json:"gid"`
}

// String returns the ids in decimal, as in "pid=12345 uid=1000 gid=1000", and
// "<nil>" for nil. It is for logs: nothing in this module parses it back, and
// nothing else should.
func (p *PeerCredentials) String() string {
	if p == nil {
		return "<nil>"
	}
	b := make([]byte, 0, len("pid=2147483647 uid=4294967295 gid=4294967295"))
	b = strconv.AppendInt(append(b, "pid="...), int64(p.PID), 10)
	b = strconv.AppendUint(append(b, " uid="...), uint64(p.UID), 10)
	b = strconv.AppendUint(append(b, " gid="...), uint64(p.GID), 10)
	return string(b)
}

// LogValue returns the ids as a slog group of pid, uid and gid, and no value for
// nil.
func (p *PeerCredentials) LogValue() slog.Value {
	if p == nil {
		return slog.AnyValue(nil)
	}
	return slog.GroupValue(
		slog.Int64("pid", int64(p.PID)),
		slog.Uint64("uid", uint64(p.UID)),
		slog.Uint64("gid", uint64(p.GID)),
	)
}

// GetPeerCredentials asks the kernel which process is at the other end of conn:
// the client on a server's accepted conn, and the process that called listen(2) on a
// client's conn. Ask right after Accept, because some systems forget the peer when it
// closes.
//
// conn is a *net.UnixConn, or wraps one so that its descriptor can be reached:
// by NetConn() net.Conn, as *tls.Conn does, or by SyscallConn, as a struct that
// embeds a *net.UnixConn does. For anything but a connected *net.UnixConn the
// kernel is asked too whether the descriptor is a Unix socket that can have a
// peer.
//
// It returns credentials or an error, never both and never neither:
//
//   - *[ErrNotUnixSocket] if conn is not a Unix socket.
//   - *[ErrPeerCredentialsUnavailable], for which errors.Is(err,
//     errors.ErrUnsupported) holds, if this system, or this kernel, does not
//     tell. Its Reason says why.
//   - An error that wraps [net.ErrClosed] if conn is closed.
//   - Otherwise an error that begins with "failed to get peer credentials",
//     names the system and the call, and wraps the errno if there is one:
//     ENOTCONN for a socket without a peer, one that listens, and a datagram
//     socket, which can be connected anew after the kernel took the credentials;
//     EINVAL in place of ENOTCONN on NetBSD, on FreeBSD, DragonFly and macOS for
//     datagram sockets, and on FreeBSD up to 13 and on DragonFly for seqpacket
//     sockets without a peer; EPROTO for an answer that is not what the system's
//     headers promise. A nil conn, and a wrapper around nil, end here too.
//
// A peer that has closed or died is no error on Linux, macOS, FreeBSD, DragonFly and
// OpenBSD. On NetBSD, illumos and Solaris it is ENOTCONN.
//
// On Linux a connected *net.UnixConn costs one system call (four for "unixpacket", of
// which the kernel is doubted), no allocation if the result does not escape, and no
// lock. The first answer in a process that names that process itself costs three more
// and reads syscall.ForkLock, to find out whether the kernel says so of everybody. The
// descriptor is never duplicated.
//
// It is safe for concurrent use, also while another goroutine closes conn.
func GetPeerCredentials(conn net.Conn) (*PeerCredentials, error) {
	p, err := credentialsOfConn(conn)
	if err != nil {
		return nil, err
	}
	return &p, nil // small enough to be inlined: the caller's frame holds p
}

// GetPeerCredentialsOf is [GetPeerCredentials] for a value that gives access to its
// descriptor: an *os.File (a socket inherited or received from another process),
// a net.Conn, or a type of your own. It makes the same checks, returns the same
// errors, and leaves the descriptor as it is: not duplicated, not switched to
// blocking mode. For a closed *os.File the error wraps [os.ErrClosed].
//
// Anything but a connected *net.UnixConn costs three more system calls, which
// establish that the descriptor is a Unix socket that can have a peer.
//
// It is safe for concurrent use, also while another goroutine closes conn.
func GetPeerCredentialsOf(conn syscall.Conn) (*PeerCredentials, error) {
	p, err := credentialsOfSyscallConn(conn)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

var credentialsOf = &question[PeerCredentials]{failed: failedCredentials, ask: askCredentials}

const failedCredentials = "failed to get peer credentials"

// reply is what the linked implementation says.
type reply struct {
	pid      int32
	uid, gid uint32
	err      error
}

// credentialsOfConn is credentialsOf.of with a short path for a connected *net.UnixConn,
// which nearly every connection is. It is one function and returns its result by value, so
// that the caller's frame can hold it: each further call would cost one per cent more.
func credentialsOfConn(conn net.Conn) (PeerCredentials, error) {
	c, ok := conn.(*net.UnixConn)
	if !ok || c == nil || !supported || !isConnectedStream(c) {
		return credentialsOf.of(conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return PeerCredentials{}, credentialsOf.fail(err)
	}
	r := reply{err: errNoDescriptor}
	err = raw.Control(func(fd uintptr) { r.pid, r.uid, r.gid, r.err = credentials(int(fd)) })
	if err != nil {
		return PeerCredentials{}, credentialsOf.fail(err)
	}
	if r.err != nil || r.pid == self {
		return r.judge()
	}
	return PeerCredentials{PID: r.pid, UID: r.uid, GID: r.gid}, nil
}

func credentialsOfSyscallConn(conn syscall.Conn) (PeerCredentials, error) {
	if c, ok := conn.(*net.UnixConn); ok {
		return credentialsOfConn(c)
	}
	return credentialsOf.ofAny(conn)
}

func askCredentials(fd int) (PeerCredentials, error) {
	var r reply
	r.pid, r.uid, r.gid, r.err = credentials(fd)
	if r.err != nil || r.pid == self {
		return r.judge()
	}
	return PeerCredentials{PID: r.pid, UID: r.uid, GID: r.gid}, nil
}

// judge explains a refusal, and doubts an answer that names this process. The caller
// handles every other answer itself, without this call.
//
//go:noinline
func (r reply) judge() (PeerCredentials, error) {
	if r.err != nil {
		return PeerCredentials{}, refusal(failedCredentials, known.UID.Call, r.err)
	}
	if err := checkKernel(); err != nil {
		return PeerCredentials{}, err
	}
	return PeerCredentials{PID: r.pid, UID: r.uid, GID: r.gid}, nil
}
