package guard

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"

	"example.com/peercred"
)

// Conn is a connection whose peer was let in. Besides what [net.Conn] promises it
// passes on CloseWrite and SyscallConn, and gives its inner connection by NetConn. Its
// methods are safe for concurrent use.
//
// Close it. The slot that a connection of a [Listener] has under [Config].MaxConns and
// MaxConnsPerUID is given back by Close, and by nothing else: one that is dropped without
// it is lost to its user until the process ends.
type Conn struct {
	net.Conn
	peer        Peer // of this Conn, or of one within
	credentials peercred.PeerCredentials
	facts       atomic.Pointer[facts] // nil until one is asked for
	listener    *Listener             // where it has a slot, nil if it has none
	left        atomic.Bool           // the slot was given back
	pidfd       int32                 // by which listener.watch knows it
}

// Admit asks who is at the other end of conn, and returns conn as a *Conn if policy
// lets the peer in. Else it closes conn, as [Conn.Close] does, and the error is *[Denied],
// which wraps what [peercred.GetPeerCredentials] returned if that is what failed. The
// caller can close conn again, which waits for nothing.
//
// It is what [Listener] and [Dial] do, for a connection that comes from elsewhere.
// If conn is a *Conn, embeds one, or wraps one by NetConn() net.Conn, as TLS does, the
// peer is not asked for again.
func Admit(conn net.Conn, policy Policy) (*Conn, error) {
	admitted, denied := admit(conn, policy)
	if denied != nil {
		closeForeign(conn)
		return nil, denied
	}
	return admitted, nil
}

// admit leaves the connection of a peer that is not let in to the caller to close.
func admit(conn net.Conn, policy Policy) (*Conn, *Denied) {
	c, err := ask(conn)
	if err != nil {
		return nil, &Denied{Rule: ruleKnown, Failed: true, Err: err}
	}
	if denied := policy.decideOn(c.peer); denied != nil {
		c.closeFacts()
		return nil, denied
	}
	return c, nil
}

// ask finds out who is at the other end of conn.
func ask(conn net.Conn) (*Conn, error) {
	c := &Conn{Conn: conn}
	if _, plain := conn.(*net.UnixConn); !plain {
		if inner := find(conn); inner != nil {
			c.peer = inner.peer
			return c, nil
		}
	}
	credentials, err := peercred.GetPeerCredentials(conn)
	if err != nil {
		return nil, err
	}
	c.credentials = *credentials
	c.peer = Peer{c}
	return c, nil
}

// known returns the facts about the peer, to be asked for.
func (c *Conn) known() *facts {
	if f := c.facts.Load(); f != nil {
		return f
	}
	c.facts.CompareAndSwap(nil, new(facts))
	return c.facts.Load()
}

// maxWrappers bounds how many conns may wrap one another, as it does in peercred.
const maxWrappers = 16

// find returns the *Conn that conn is or wraps, nil if there is none, and if a
// foreign type's NetConn panics: then peercred says so, which asks it again.
func find(conn net.Conn) (found *Conn) {
	defer func() { _ = recover() }()
	for range maxWrappers {
		switch c := conn.(type) {
		case interface{ guarded() *Conn }:
			return c.guarded()
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// guarded finds a *Conn that is embedded in another type.
func (c *Conn) guarded() *Conn { return c }

// Peer returns who is at the other end.
func (c *Conn) Peer() Peer { return c.peer }

// NetConn returns the connection that was accepted or dialled, a *[net.UnixConn]
// mostly. Reading and writing, its deadlines and its options are its own.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and, if it was opened, the handle on the peer's
// process. The error is the inner connection's, which for a *[net.UnixConn] that is
// closed already wraps [net.ErrClosed]. On Linux it does not wait for descriptors that the
// peer sent and nobody received, a socket that lingers among them.
func (c *Conn) Close() error {
	c.closeFacts()
	defer c.leave()
	if c.listener != nil && c.listener.quick {
		return c.Conn.Close()
	}
	return promptly(c.Conn.Close)
}

// leave gives back the slot, once.
func (c *Conn) leave() {
	if c.listener == nil || !c.left.CompareAndSwap(false, true) {
		return
	}
	if c.listener.watch != nil {
		c.listener.watch.remove(c)
	}
	c.listener.limits.leave(c.peer.conn.credentials.UID)
}

// closeFacts closes the handle on the process, and lets no fact be asked for any more.
func (c *Conn) closeFacts() {
	if !c.facts.CompareAndSwap(nil, closedFacts) {
		c.facts.Load().close()
	}
}

// CloseWrite ends what we send, as [net.UnixConn.CloseWrite] does. It wraps
// [errors.ErrUnsupported] if the inner connection cannot.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("%T has no CloseWrite: %w", c.Conn, errors.ErrUnsupported)
}

// SyscallConn gives access to the inner connection's descriptor, as
// [net.UnixConn.SyscallConn] does. It wraps [errors.ErrUnsupported] if the inner connection
// does not.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if socket, ok := c.Conn.(syscall.Conn); ok {
		return socket.SyscallConn()
	}
	return nil, fmt.Errorf("%T has no SyscallConn: %w", c.Conn, errors.ErrUnsupported)
}
