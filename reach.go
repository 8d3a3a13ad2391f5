package peercred

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// How a connection is traced to its descriptor, and the descriptor asked. A stream's
// *net.UnixConn takes the short way, one system call; the rest pays for the
// questions that its Go type leaves open.

// question is what to ask of a connection's peer.
type question[T any] struct {
	failed string                  // what an error that is none of ours begins with
	ask    func(fd int) (T, error) // of a Unix socket that can have a peer
	trusts bool                    // ask takes it for granted that there is a peer
}

// maxWrappers bounds how many conns may wrap one another by NetConn.
const maxWrappers = 16

var (
	errNil          = errors.New("the connection is nil")
	errTooDeep      = fmt.Errorf("more than %d connections wrap one another by NetConn", maxWrappers)
	errNoDescriptor = errors.New("the connection did not hand out its descriptor")
)

func (q *question[T]) fail(err error) error { return fmt.Errorf("%s: %w", q.failed, err) }

// ofConn asks about conn's peer.
func (q *question[T]) ofConn(conn net.Conn) (T, error) {
	if c, ok := conn.(*net.UnixConn); ok {
		return q.ofUnixConn(c)
	}
	return q.ofWrapper(conn)
}

// ofSyscallConn is ofConn for what gives access to its descriptor, and is no
// *net.UnixConn.
func (q *question[T]) ofSyscallConn(conn syscall.Conn) (T, error) {
	if file, ok := conn.(*os.File); ok {
		return q.ofFile(file)
	}
	return q.ofForeign(conn)
}

func (q *question[T]) ofUnixConn(c *net.UnixConn) (answer T, err error) {
	if c == nil {
		return answer, q.fail(errNil)
	}
	if !supported {
		return q.ask(-1)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return answer, q.fail(err)
	}
	connected := isConnectedStream(c)
	asked := errNoDescriptor
	err = raw.Control(func(fd uintptr) {
		if connected {
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

// isConnectedStream tells, for no system call, whether c can be nothing else than a
// connected stream socket. What has no peer's address may be a listening socket that
// came in through net.FileConn, and there are kernels that confuse the ends of a
// seqpacket connection: both are to be checked.
func isConnectedStream(c *net.UnixConn) bool {
	peer, ok := c.RemoteAddr().(*net.UnixAddr)
	return ok && peer != nil && peer.Net == "unix"
}

func (q *question[T]) ofFile(f *os.File) (T, error) {
	return q.guarded(func() (T, error) { return q.askFile(f) }) // a zero os.File panics
}

func (q *question[T]) askFile(f *os.File) (answer T, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return answer, q.fail(err)
	}
	asked := errNoDescriptor
	err = raw.Control(func(fd uintptr) { answer, asked = q.askChecked(int(fd)) })
	if err != nil {
		// Only a closed file refuses, and its error does not wrap os.ErrClosed.
		return answer, q.fail(&os.PathError{Op: "control", Path: f.Name(), Err: os.ErrClosed})
	}
	return answer, asked
}

// ofWrapper follows NetConn to a connection whose descriptor can be reached.
func (q *question[T]) ofWrapper(conn net.Conn) (T, error) {
	return q.guarded(func() (T, error) { return q.askWrapper(conn) })
}

func (q *question[T]) askWrapper(conn net.Conn) (nothing T, err error) {
	for range maxWrappers {
		switch c := conn.(type) {
		case nil:
			return nothing, q.fail(errNil)
		case *net.UnixConn:
			return q.ofUnixConn(c)
		case syscall.Conn:
			return q.askForeign(c) // guarded already
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nothing, q.hidden(c)
		}
	}
	return nothing, q.fail(errTooDeep)
}

// ofForeign asks a type that is not ours to hand out its descriptor.
func (q *question[T]) ofForeign(conn syscall.Conn) (T, error) {
	return q.guarded(func() (T, error) { return q.askForeign(conn) })
}

// askForeign is to be guarded. What the type does is its own affair: it may panic,
// not run our function at all, or run it when it should not. The slot takes the
// first answer, and nothing that runs late can change it.
func (q *question[T]) askForeign(conn syscall.Conn) (nothing T, err error) {
	switch conn.(type) {
	case nil:
		return nothing, q.fail(errNil)
	case *net.TCPConn:
		return nothing, &ErrNotUnixSocket{ConnType: "TCP"}
	case *net.UDPConn:
		return nothing, &ErrNotUnixSocket{ConnType: "UDP"}
	}
	raw, err := conn.SyscallConn()
	switch {
	case err != nil:
		return nothing, q.fail(err)
	case raw == nil:
		return nothing, q.fail(errNoDescriptor)
	}
	var first slot[T]
	defer first.discard() // what is not handed out, also when Control panics
	err = raw.Control(func(fd uintptr) {
		value, err := q.askChecked(int(fd))
		first.put(value, err)
	})
	if err != nil {
		return nothing, q.fail(err)
	}
	answer, ok := first.take()
	if !ok {
		return nothing, q.fail(errNoDescriptor)
	}
	return answer.value, answer.err
}

// slot holds the first answer that is put into it, until it is taken or discarded.
// It discards all others.
type slot[T any] struct {
	mu     sync.Mutex
	closed bool // to further answers
	full   bool
	answer result[T]
}

type result[T any] struct {
	value T
	err   error
}

func (s *slot[T]) put(value T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		discard(value)
		return
	}
	s.closed, s.full, s.answer = true, true, result[T]{value, err}
}

func (s *slot[T]) take() (answer result[T], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok, s.full, s.closed = s.full, false, true
	return s.answer, ok
}

func (s *slot[T]) discard() {
	if answer, ok := s.take(); ok {
		discard(answer.value)
	}
}

// discard closes an answer that is not handed out, if it is to be closed.
func discard(answer any) {
	if c, ok := answer.(io.Closer); ok {
		c.Close()
	}
}

// hidden is the error for a connection that does not hand out its descriptor. It
// takes the connection's own word for what it is, since it is an error anyway.
func (q *question[T]) hidden(conn net.Conn) error {
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
		return q.fail(fmt.Errorf("%T hides its descriptor, give it a method NetConn() net.Conn: %w", conn, &ErrNotUnixSocket{ConnType: "Unix"}))
	}
	return &ErrNotUnixSocket{ConnType: "unknown"}
}

// guarded turns a panic in a foreign type's method into an error. It does not ask
// what recover returns, which is nil for a panic(nil) under GODEBUG=panicnil=1.
func (q *question[T]) guarded(ask func() (T, error)) (answer T, err error) {
	finished := false
	defer func() {
		if !finished {
			err = q.fail(fmt.Errorf("the connection panicked: %v", recover()))
		}
	}()
	answer, err = ask()
	finished = true
	return answer, err
}

// askChecked asks about any kind of descriptor. It checks that the descriptor is a Unix
// socket, and says so if it is a listener.
func (q *question[T]) askChecked(fd int) (answer T, err error) {
	if !supported {
		return q.ask(-1)
	}
	switch k, err := kind(fd); {
	case err != nil:
		return answer, q.fail(callError("find out the descriptor's family", err))
	case k != "Unix":
		return answer, &ErrNotUnixSocket{ConnType: k}
	}
	answer, err = q.askUnixSocket(fd)
	if err != nil {
		return answer, explained(fd, err)
	}
	return answer, nil
}

// askUnixSocket asks about a Unix socket that may have no peer. Not every question
// tells that. Whether the socket can have a peer is checked last: another process that
// shares the descriptor can make it listen while we ask, and a listening socket keeps
// listening.
func (q *question[T]) askUnixSocket(fd int) (answer T, err error) {
	if q.trusts {
		if _, err := askCredentials(fd); err != nil {
			return answer, err
		}
	}
	answer, err = q.ask(fd)
	if err != nil {
		return answer, err
	}
	if err := checkCanHavePeer(fd); err != nil {
		discard(answer)
		var nothing T
		return nothing, q.noPeer(err)
	}
	return answer, nil
}

func (q *question[T]) noPeer(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return unavailable(q.failed, err.Error())
	}
	return q.fail(callError("check that the socket can have a peer", err))
}

// explained adds to err what to do, if fd is a listener.
func explained(fd int, err error) error {
	if is, _ := listens(fd); is { // false with an error
		return fmt.Errorf("%w (this is a listener: ask about the connection that Accept returns)", err)
	}
	return err
}
