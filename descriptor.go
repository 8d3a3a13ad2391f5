package peercred

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
)

// question is a question about the peer of a connection.
type question[T any] struct {
	failed string                  // how errors begin
	ask    func(fd int) (T, error) // asks about a Unix socket that can have a peer
	verify bool                    // verify first that there is a peer, because ask does not
	tcp    bool                    // ask about any TCP socket instead, by ofAny
}

// of returns the answer about the peer of conn, which is a net.Conn or a syscall.Conn. A
// connected stream of type *net.UnixConn needs no checks. For anything else the kernel is
// asked whether it is a socket of the right kind that has a peer.
func (q *question[T]) of(conn any) (T, error) {
	if c, ok := conn.(*net.UnixConn); ok && c != nil && supported { // its methods do not panic
		return q.ofUnixConn(c)
	}
	return q.ofAny(conn)
}

// ofAny returns an error if a method of conn panics. The variable finished detects that
// even if recover returns nil, as it does after panic(nil) under GODEBUG=panicnil=1.
func (q *question[T]) ofAny(conn any) (answer T, err error) {
	finished := false
	defer func() {
		if !finished {
			err = q.fail(fmt.Errorf("the connection panicked: %v", recover()))
		}
	}()
	answer, err = q.ofConn(conn)
	finished = true
	return answer, err
}

func (q *question[T]) ofConn(conn any) (nothing T, err error) {
	reached, err := q.reach(conn)
	if err != nil {
		switch err.(type) {
		case *ErrNotUnixSocket, *ErrNotLoopback:
			return nothing, err
		}
		return nothing, q.fail(err)
	}
	if !supported {
		return q.ask(-1)
	}
	switch c := reached.(type) {
	case *net.UnixConn:
		return q.ofUnixConn(c)
	case *os.File:
		return q.ofFile(c)
	case *net.TCPConn: // ask checks the protocol
		return q.ofForeign(c, q.ask)
	}
	return q.ofForeign(reached, q.askChecked)
}

// maxWrappers is how many conns may wrap one another by NetConn.
const maxWrappers = 16

var (
	errNil          = errors.New("the connection is nil")
	errTooDeep      = fmt.Errorf("more than %d connections wrap one another by NetConn", maxWrappers)
	errNoDescriptor = errors.New("the connection did not hand out its descriptor")
)

// reach follows NetConn to a value that gives access to its descriptor.
func (q *question[T]) reach(conn any) (syscall.Conn, error) {
	for range maxWrappers {
		switch c := conn.(type) {
		case nil:
			return nil, errNil
		case *net.UnixConn:
			switch {
			case c == nil:
				return nil, errNil
			case q.tcp:
				return nil, q.wrong("Unix")
			}
			return c, nil
		case *os.File: // sooner than as any syscall.Conn
			return c, nil
		case *net.TCPConn:
			switch {
			case !q.tcp:
				return nil, q.wrong("TCP")
			case c == nil:
				return nil, errNil
			}
			return c, nil
		case *net.UDPConn:
			return nil, q.wrong("UDP")
		case syscall.Conn:
			return c, nil
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		case net.Conn:
			return nil, q.hidden(c)
		}
	}
	return nil, errTooDeep
}

// hidden returns the error for a conn that does not give access to its descriptor. It names
// the network that the conn itself claims.
func (q *question[T]) hidden(conn net.Conn) error {
	network, kind := "", "unknown"
	if address := conn.LocalAddr(); address != nil {
		network = address.Network()
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		kind = "TCP"
	case "udp", "udp4", "udp6":
		kind = "UDP"
	case "unix", "unixpacket", "unixgram":
		kind = "Unix"
	}
	if q.tcp && kind == "TCP" || !q.tcp && kind == "Unix" {
		return fmt.Errorf("%T hides its descriptor, give it a method NetConn() net.Conn: %w", conn, q.wrong(kind))
	}
	return q.wrong(kind)
}

// wrong returns the error for a connection of the kind, which the question is not about.
func (q *question[T]) wrong(kind string) error {
	if q.tcp {
		return &ErrNotLoopback{Got: strings.Replace(kind, "Unix", "a Unix socket", 1)}
	}
	return &ErrNotUnixSocket{ConnType: kind}
}

// ofUnixConn and ofFile do the same for two types, because a call of a concrete method does
// not allocate.

func (q *question[T]) ofUnixConn(c *net.UnixConn) (answer T, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return answer, q.fail(err)
	}
	checked := isConnectedStream(c)
	asked := errNoDescriptor
	err = raw.Control(func(fd uintptr) {
		if checked {
			answer, asked = q.ask(int(fd))
		} else {
			answer, asked = q.askChecked(int(fd))
		}
	})
	if err != nil {
		return answer, q.fail(err)
	}
	return answer, asked
}

func (q *question[T]) ofFile(f *os.File) (answer T, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return answer, q.fail(err)
	}
	asked := errNoDescriptor
	err = raw.Control(func(fd uintptr) { answer, asked = q.askChecked(int(fd)) })
	if err != nil {
		// The file is closed, but err does not wrap os.ErrClosed.
		return answer, q.fail(&os.PathError{Op: "control", Path: f.Name(), Err: os.ErrClosed})
	}
	return answer, asked
}

// ofForeign asks a type of another package for its descriptor. Its Control may run the
// function twice, later, or never. Only the first run before Control returns counts.
func (q *question[T]) ofForeign(conn syscall.Conn, ask func(fd int) (T, error)) (answer T, err error) {
	raw, err := conn.SyscallConn()
	switch {
	case err != nil:
		return answer, q.fail(err)
	case raw == nil:
		return answer, q.fail(errNoDescriptor)
	}
	var first sync.Once
	var told T
	asked := q.fail(errNoDescriptor)
	err = errNoDescriptor // in case Control panics
	defer func() {
		first.Do(func() {}) // waits for a run in progress, and prevents later ones
		if err != nil {
			discard(told)
			return
		}
		answer, err = told, asked
	}()
	err = raw.Control(func(fd uintptr) { first.Do(func() { told, asked = ask(int(fd)) }) })
	if err != nil {
		err = q.fail(err)
	}
	return answer, err
}

// discard closes an answer that is not returned.
func discard(answer any) {
	if c, ok := answer.(io.Closer); ok {
		c.Close()
	}
}

// isConnectedStream reports, without a system call, whether c is certainly a connected
// stream socket. A socket without a peer's address may be a listener from net.FileConn. A
// seqpacket socket needs the check for kernels that confuse the ends of its connection.
func isConnectedStream(c *net.UnixConn) bool {
	peer, ok := c.RemoteAddr().(*net.UnixAddr)
	return ok && peer != nil && peer.Net == "unix"
}

// askChecked asks about any descriptor. It checks that the descriptor is a socket of the
// right kind, and explains the error of a listener.
func (q *question[T]) askChecked(fd int) (answer T, err error) {
	k, err := kind(fd)
	switch {
	case err != nil:
		return answer, q.fail(callError("find out the descriptor's family", err))
	case !q.tcp && k == "Unix":
		answer, err = q.askUnixSocket(fd)
	case q.tcp && k == "TCP":
		answer, err = q.ask(fd)
	default:
		return answer, q.wrong(k)
	}
	if err != nil {
		if is, _ := listens(fd); is { // false with an error
			err = fmt.Errorf("%w (this is a listener: ask about the connection that Accept returns)", err)
		}
	}
	return answer, err
}

// askUnixSocket asks about a Unix socket that may have no peer. The check whether it can
// have one comes last. Another process that shares the descriptor can make it listen
// before that, and a listening socket cannot stop listening.
func (q *question[T]) askUnixSocket(fd int) (nothing T, err error) {
	if q.verify {
		if _, err := askCredentials(fd); err != nil {
			return nothing, err
		}
	}
	answer, err := q.ask(fd)
	if err != nil {
		return nothing, err
	}
	if err := checkCanHavePeer(fd); err != nil {
		discard(answer)
		if errors.Is(err, errors.ErrUnsupported) {
			return nothing, unavailable(q.failed, err.Error())
		}
		return nothing, q.fail(callError("check that the socket can have a peer", err))
	}
	return answer, nil
}

// fail adds what failed to err.
func (q *question[T]) fail(err error) error { return fmt.Errorf("%s: %w", q.failed, err) }
