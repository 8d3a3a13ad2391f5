package peercred

import (
	"log/slog"
	"net"
	"strconv"
	"syscall"
)

// PeerCredentials are the ids of the process at the other end of a Unix socket. They are
// effective ids. The kernel captures them when the connection is made, so later changes do
// not show. The package documentation describes the exact moment on each system, and the
// limits.
type PeerCredentials struct {
	// PID is the process id, 1 or greater, in our own pid namespace. It is 0 if the
	// kernel does not report it: for a peer in a pid namespace that is not visible in
	// ours, on DragonFly, on FreeBSD before 13.0 and 12.3, and on macOS once the peer
	// has closed. 0 never means "any process", so a rule about pids must deny it.
	// Another process can get the pid as soon as this one is reaped.
	PID int32 `json:"pid"`
	// UID is the effective user id, 0 to 4294967294. On Linux an id that our
	// user namespace does not map is the overflow id, 65534.
	UID uint32 `json:"uid"`
	// GID is the effective group id, 0 to 4294967294, mapped like UID. It is usually
	// the primary group of the peer's user. A process can change it, as newgrp(1) does.
	GID uint32 `json:"gid"`
}

// String returns the ids in decimal, as in "pid=12345 uid=1000 gid=1000", and
// "<nil>" for nil. It is for logs. Do not parse it.
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

// LogValue returns the ids as a slog group of pid, uid and gid. For nil it returns a nil
// value.
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

// GetPeerCredentials returns the credentials of the process at the other end of conn. On a
// server's accepted conn that is the client. On a client's conn it is the process that
// called listen(2), on most systems. Call it right after Accept, because some systems
// forget a peer that closes.
//
// conn must be a *net.UnixConn or wrap one. A wrapper requires a method NetConn() net.Conn,
// such as that of *tls.Conn, or SyscallConn, such as that of a struct that embeds a
// *net.UnixConn. If conn is not a connected *net.UnixConn, GetPeerCredentials also checks
// that the descriptor is a Unix socket that can have a peer.
//
// It returns credentials or an error:
//
//   - *[ErrNotUnixSocket] if conn is not a Unix socket.
//   - *[ErrPeerCredentialsUnavailable] if this system or kernel does not report the
//     credentials. Its Reason says why. errors.Is(err, errors.ErrUnsupported) is true.
//   - An error that wraps [net.ErrClosed] if conn is closed.
//   - Otherwise an error that begins with "failed to get peer credentials". It names the
//     system and the call, and wraps the errno if there is one. A nil conn, or a wrapper
//     around nil, is such an error.
//
// The errno is ENOTCONN for a socket without a peer, a listening socket and a datagram
// socket. On NetBSD it is EINVAL. It is also EINVAL for a datagram socket on FreeBSD,
// DragonFly and macOS, and for a seqpacket socket without a peer on DragonFly and on FreeBSD
// up to 13. It is EPROTO for an answer that the system's headers do not define.
//
// A peer that has closed or exited is not an error on Linux, macOS, FreeBSD, DragonFly and
// OpenBSD. On NetBSD, illumos and Solaris the error is ENOTCONN.
//
// On Linux a call for a connected *net.UnixConn makes one system call, or four for
// "unixpacket". It takes no lock, and does not allocate if the result does not escape. The
// first answer that names this process itself costs three more system calls, which check
// whether the kernel gives that answer for every peer. The check also takes a read lock of
// syscall.ForkLock. The descriptor is never duplicated.
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
// a net.Conn, or a type of your own. It makes the same checks and returns the same
// errors. It does not duplicate the descriptor or switch it to blocking mode. For a closed
// *os.File the error wraps [os.ErrClosed].
//
// A connected *net.UnixConn costs as much as with GetPeerCredentials. Anything else costs
// three more system calls, which check that the descriptor is a Unix socket that can have
// a peer.
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

// reply is the answer of the linked implementation.
type reply struct {
	pid      int32
	uid, gid uint32
	err      error
}

// credentialsOfConn is credentialsOf.of with a short path for a connected *net.UnixConn,
// the usual case. It is one function, because each further call would cost one per cent
// more. It returns its result by value, so that the caller's frame can hold it.
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

// judge adds the context to an error, and checks the kernel if the answer names this
// process. The callers handle every other answer themselves, which saves a call.
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
