package peercred

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
)

// How a connection is traced to its descriptor, and the descriptor asked. A
// *net.UnixConn takes the short way, one system call; the rest pays for the
// questions that its Go type leaves open.

// maxWrappers bounds how many conns may wrap one another by NetConn.
const maxWrappers = 16

// untold is why a system without a call for it is unavailable.
const untold = "the system does not tell the uid and gid of a socket's peer"

var (
	errNil          = errors.New("the connection is nil")
	errTooDeep      = fmt.Errorf("more than %d connections wrap one another by NetConn", maxWrappers)
	errNoDescriptor = errors.New("the connection did not hand out its descriptor")
)

// fromConn fills p with the credentials of conn's peer, or leaves it alone.
func fromConn(conn net.Conn, p *PeerCredentials) error {
	if c, ok := conn.(*net.UnixConn); ok {
		return fromUnixConn(c, p)
	}
	return fromWrapper(conn, p)
}

// fromSyscallConn is fromConn for what gives access to its descriptor.
func fromSyscallConn(conn syscall.Conn, p *PeerCredentials) error {
	switch c := conn.(type) {
	case *net.UnixConn:
		return fromUnixConn(c, p)
	case *os.File:
		return fromFile(c, p)
	}
	return fromForeign(conn, p)
}

func fromUnixConn(c *net.UnixConn, p *PeerCredentials) error {
	if c == nil {
		return failed(errNil)
	}
	if !supported {
		return unavailable(untold)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return failed(err)
	}
	connected := isConnectedStream(c)
	answer := errNoDescriptor
	err = raw.Control(func(fd uintptr) {
		if connected {
			answer = ask(int(fd), p)
		} else {
			answer = askChecked(int(fd), p)
		}
	})
	if err != nil {
		return failed(err)
	}
	return answer
}

// isConnectedStream tells, for no system call, whether c can be nothing else than
// a connected stream or seqpacket socket. What has no peer's address may be a
// listening socket that came in through net.FileConn.
func isConnectedStream(c *net.UnixConn) bool {
	own, ok := c.LocalAddr().(*net.UnixAddr)
	return ok && own != nil && own.Net != "unixgram" && c.RemoteAddr() != nil
}

func fromFile(f *os.File, p *PeerCredentials) error {
	return guarded(func() error { return askFile(f, p) }) // a zero os.File panics
}

func askFile(f *os.File, p *PeerCredentials) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return failed(err)
	}
	answer := errNoDescriptor
	err = raw.Control(func(fd uintptr) { answer = askChecked(int(fd), p) })
	if err != nil {
		// Only a closed file refuses, and its error does not wrap os.ErrClosed.
		return failed(&os.PathError{Op: "control", Path: f.Name(), Err: os.ErrClosed})
	}
	return answer
}

// fromWrapper follows NetConn to a connection whose descriptor can be reached.
func fromWrapper(conn net.Conn, p *PeerCredentials) error {
	return guarded(func() error { return askWrapper(conn, p) })
}

func askWrapper(conn net.Conn, p *PeerCredentials) error {
	for range maxWrappers {
		switch c := conn.(type) {
		case nil:
			return failed(errNil)
		case *net.UnixConn:
			return fromUnixConn(c, p)
		case syscall.Conn:
			return askForeign(c, p) // guarded already
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return hidden(c)
		}
	}
	return failed(errTooDeep)
}

// fromForeign asks a type that is not ours to hand out its descriptor.
func fromForeign(conn syscall.Conn, p *PeerCredentials) error {
	return guarded(func() error { return askForeign(conn, p) })
}

// askForeign is to be guarded. What the type does is its own affair: it may panic,
// not run our function at all, or run it when it should not. The channel takes the
// first answer, and p is written by this goroutine alone.
func askForeign(conn syscall.Conn, p *PeerCredentials) error {
	switch conn.(type) {
	case nil:
		return failed(errNil)
	case *net.TCPConn:
		return &ErrNotUnixSocket{ConnType: "TCP"}
	case *net.UDPConn:
		return &ErrNotUnixSocket{ConnType: "UDP"}
	}
	raw, err := conn.SyscallConn()
	switch {
	case err != nil:
		return failed(err)
	case raw == nil:
		return failed(errNoDescriptor)
	}
	type answer struct {
		PeerCredentials
		err error
	}
	answers := make(chan answer, 1)
	err = raw.Control(func(fd uintptr) {
		var a answer
		a.err = askChecked(int(fd), &a.PeerCredentials)
		select {
		case answers <- a:
		default:
		}
	})
	if err != nil {
		return failed(err)
	}
	select {
	case a := <-answers:
		if a.err == nil {
			*p = a.PeerCredentials
		}
		return a.err
	default:
		return failed(errNoDescriptor)
	}
}

// hidden is the error for a connection that does not hand out its descriptor. It
// takes the connection's own word for what it is, since it is an error anyway.
func hidden(conn net.Conn) error {
	network := ""
	if address := conn.LocalAddr(); address != nil {
		network = address.Network()
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		return &ErrNotUnixSocket{ConnType: "TCP"}
	case "udp", "udp4", "udp6":
		return &ErrNotUnixSocket{ConnType: "UDP"}
	case "unix", "unixpacket", "unixgram":
		return failed(fmt.Errorf("%T hides its descriptor, give it a method NetConn() net.Conn: %w", conn, &ErrNotUnixSocket{ConnType: "Unix"}))
	}
	return &ErrNotUnixSocket{ConnType: "unknown"}
}

// askChecked asks about a descriptor of which nothing is known. Whether it can
// have a peer comes last: whoever shares the descriptor can make it listen while
// we ask, and a listening socket stays one.
func askChecked(fd int, p *PeerCredentials) error {
	if !supported {
		return unavailable(untold)
	}
	switch k, err := kind(fd); {
	case err != nil:
		return failedCall("find out the descriptor's family", err)
	case k != "Unix":
		return &ErrNotUnixSocket{ConnType: k}
	}
	var answer PeerCredentials
	if err := ask(fd, &answer); err != nil {
		return err
	}
	if err := checkCanHavePeer(fd); err != nil {
		return failedCall("find out whether the socket listens or is for datagrams", err)
	}
	*p = answer
	return nil
}

// ask asks about a descriptor that is known to be a Unix socket, and one that
// can have a peer.
func ask(fd int, p *PeerCredentials) error {
	pid, uid, gid, err := credentials(fd)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return unavailable(call + ": " + err.Error())
	case err != nil:
		return failedCall(call, err)
	}
	if pid == self {
		if err := checkKernel(); err != nil {
			return err
		}
	}
	p.PID, p.UID, p.GID = pid, uid, gid
	return nil
}

// self is our own pid, which a process keeps for life.
var self = int32(os.Getpid())

// kernelIsRight remembers that the kernel passed checkKernel.
var kernelIsRight atomic.Bool

// checkKernel refuses a kernel that names the caller as everybody's peer. It is
// asked only when an answer names us, which may be right: we may have connected
// to ourselves. A kernel that passed is not asked again; one that could not be
// asked (no descriptor left, say) is, the next time.
func checkKernel() error {
	if kernelIsRight.Load() {
		return nil
	}
	return probeKernel()
}

func probeKernel() error {
	switch wrong, err := answersForCaller(); {
	case err != nil:
		return unavailable("the answer names this process itself, and whether the kernel says so of every peer could not be found out: socket, " + call + ": " + err.Error())
	case wrong:
		return unavailable("the kernel names this process itself as the peer of every Unix socket (gVisor before November 2025 does)")
	}
	kernelIsRight.Store(true)
	return nil
}

func failed(err error) error {
	return fmt.Errorf("failed to get peer credentials: %w", err)
}

// failedCall is failed with the names of the system and the call.
func failedCall(call string, err error) error {
	return failed(fmt.Errorf("%s: %s: %w", runtime.GOOS, call, err))
}

func unavailable(reason string) error {
	return &ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: reason}
}

// guarded turns a panic in a foreign type's method into an error. It does not ask
// what recover returns, which is nil for a panic(nil) under GODEBUG=panicnil=1.
func guarded(ask func() error) (err error) {
	finished := false
	defer func() {
		if !finished {
			err = failed(fmt.Errorf("the connection panicked: %v", recover()))
		}
	}()
	err = ask()
	finished = true
	return err
}
