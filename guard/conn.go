package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"

	"example.com/peercred"
)

// Conn is a connection whose peer was admitted. It has the methods of [net.Conn], and passes
// on CloseWrite and SyscallConn. NetConn returns its inner connection. Its methods are safe
// for concurrent use.
//
// The caller must close it. A connection of a [Listener] takes a slot of [Config].MaxConns
// and MaxConnsPerUID, and only Close frees the slot. If a connection is dropped without
// Close, its user loses the slot until the process ends.
type Conn struct {
	net.Conn
	peer        Peer                      // of this Conn, or of the Conn that it wraps
	uid         uint32                    // of the peer; known once there is a peer
	credentials *peercred.PeerCredentials // nil on TCP, else &ids
	ids         peercred.PeerCredentials
	address     netip.AddrPort        // of the peer on TCP
	facts       atomic.Pointer[facts] // nil until a fact is asked for
	listener    *Listener             // has the slot of this Conn; nil if there is none
	left        atomic.Bool           // the slot was given back
	sender      *expectedSender       // nil if any process may write
	pidfd       int32                 // its key in listener.watch
	quick       bool                  // the peer could never send descriptors, so a close takes no time
}

// Admit asks who is at the other end of conn, and returns conn as a *Conn if policy admits
// the peer. Otherwise it closes conn, as [Conn.Close] does, and returns *[Denied]. If
// [peercred.GetPeerCredentials] failed, the *Denied wraps its error. The caller can close
// conn again, which returns at once.
//
// [Listener] and [Dial] do the same. Admit is for a connection on a Unix socket that comes
// from elsewhere. A TCP connection is denied, with *[peercred.ErrNotUnixSocket], unless it
// comes from a Listener or Dial. If conn is a *Conn, embeds one, or wraps one by NetConn()
// net.Conn, as TLS does, the peer is not asked for again.
func Admit(conn net.Conn, policy Policy) (*Conn, error) {
	admitted, denied := admit(conn, policy)
	if denied != nil {
		closeForeign(conn)
		return nil, denied
	}
	return admitted, nil
}

// admit leaves it to the caller to close the connection of a denied peer.
func admit(conn net.Conn, policy Policy) (*Conn, *Denied) {
	return admitAs(conn, policy, func(c *Conn) error {
		credentials, err := peercred.GetPeerCredentials(conn)
		if err != nil {
			return err
		}
		c.ids = *credentials
		c.credentials, c.uid = &c.ids, c.ids.UID
		return nil
	})
}

// admitAs calls ask to find out who is at the other end of conn.
func admitAs(conn net.Conn, policy Policy, ask func(*Conn) error) (*Conn, *Denied) {
	c, err := identify(conn, ask)
	if err != nil {
		return nil, &Denied{Rule: ruleKnown, Failed: true, Err: err}
	}
	if denied := policy.decideOn(c.peer); denied != nil {
		c.closeFacts()
		return nil, denied
	}
	return c, nil
}

// identify does not ask again about a connection that is or wraps a *Conn.
func identify(conn net.Conn, ask func(*Conn) error) (*Conn, error) {
	c := &Conn{Conn: conn}
	if _, plain := conn.(*net.UnixConn); !plain {
		if inner := find(conn); inner != nil {
			c.peer = inner.peer
			return c, nil
		}
	}
	if err := ask(c); err != nil {
		return nil, err
	}
	c.peer = Peer{c}
	return c, nil
}

// known returns the facts about the peer. They may not have been asked for yet.
func (c *Conn) known() *facts {
	if f := c.facts.Load(); f != nil {
		return f
	}
	c.facts.CompareAndSwap(nil, new(facts))
	return c.facts.Load()
}

// maxWrappers bounds how many conns may wrap one another, as it does in peercred.
const maxWrappers = 16

// find returns the *Conn that conn is or wraps. It returns nil if there is none, and if the
// NetConn of a foreign type panics. peercred then calls NetConn again, and returns an error.
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

// NetConn returns the connection that was accepted or dialled, usually a *[net.UnixConn] or
// a *[net.TCPConn]. Reading, writing, deadlines and options are those of that connection.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read reads from the connection. On Linux it does not wait for descriptors that the peer
// sent along and that nobody receives: see [Config].ReceiveDescriptors.
func (c *Conn) Read(b []byte) (int, error) {
	if c.sender != nil {
		return c.readSame(b)
	}
	return c.read(b)
}

// Close closes the connection, and the handle on the peer's process if there is one. The
// error is the inner connection's. It wraps [net.ErrClosed] if a *[net.UnixConn] is already
// closed. On Linux Close does not wait for a socket that lingers, if the peer
// sent one and nobody received it.
func (c *Conn) Close() error {
	c.closeFacts()
	defer c.leave()
	if c.quick {
		return c.Conn.Close()
	}
	return closeLast(socketWithin(c.Conn), c.Conn.Close)
}

// socketWithin returns what gives access to the socket of a connection or a listener: itself
// or one that it wraps. It returns nil if nothing does, and if a foreign type panics.
func socketWithin(outer any) (socket syscall.Conn) {
	defer func() { _ = recover() }()
	for range maxWrappers {
		switch o := outer.(type) {
		case syscall.Conn:
			return o
		case interface{ NetConn() net.Conn }:
			outer = o.NetConn()
		case interface{ NetListener() net.Listener }:
			outer = o.NetListener()
		case interface{ Unwrap() net.Listener }:
			outer = o.Unwrap()
		default:
			return nil
		}
	}
	return nil
}

// leave gives back the slot, once.
func (c *Conn) leave() {
	if c.listener == nil || !c.left.CompareAndSwap(false, true) {
		return
	}
	if c.listener.watch != nil {
		c.listener.watch.remove(c)
	}
	c.listener.limits.leave(c.peer.conn.uid)
}

// closeFacts closes the handle on the process. No fact can be asked for afterwards.
func (c *Conn) closeFacts() {
	if !c.facts.CompareAndSwap(nil, closedFacts) {
		c.facts.Load().close()
	}
}

// CloseWrite shuts down the writing side, as [net.UnixConn.CloseWrite] does. The error
// wraps [errors.ErrUnsupported] if the inner connection cannot do that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("%T has no CloseWrite: %w", c.Conn, errors.ErrUnsupported)
}

// SyscallConn gives access to the descriptor of the inner connection, as
// [net.UnixConn.SyscallConn] does. The error wraps [errors.ErrUnsupported] if the inner
// connection gives none.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if socket, ok := c.Conn.(syscall.Conn); ok {
		return socket.SyscallConn()
	}
	return nil, fmt.Errorf("%T has no SyscallConn: %w", c.Conn, errors.ErrUnsupported)
}

// Dial connects to the Unix socket at address. It returns the connection if policy admits
// the process that serves there. So a client can check its server before it sends a secret.
// The network is "unix" or "unixpacket", or "tcp", "tcp4" or "tcp6" for loopback TCP.
//
// The server is the process that called listen(2). Under socket activation that is the
// service manager. On NetBSD every server is denied, because some releases name the caller
// itself on the connecting end.
//
// Linux 6.16 and newer refuse descriptors (SCM_RIGHTS) that the server sends. The server
// gets EPERM: see [Config].ReceiveDescriptors. A client that wants to receive descriptors
// connects with package net, and checks the server with [Admit].
//
// On TCP the address is a host and a port, as for [Listen]. It is refused before Dial
// connects if it is not loopback. The server is the user that accepted the connection. The
// kernel knows that user once the server has accepted, so Dial waits for that, with pauses
// of 1 to 100 ms, until ctx ends. So give ctx a deadline: a server can accept late or never.
// If the server closes the connection before Dial has asked, it is not known, and denied.
// Multipath TCP is off.
//
// On an error nothing has been sent. The error is a *[net.OpError] that wraps:
//
//   - *[Denied] if policy does not admit the server.
//   - [net.UnknownNetworkError] for any other network.
//   - [syscall.EINVAL] for an address that is too long or has a NUL byte, and for a TCP
//     address that is not loopback.
//   - *[net.DNSError] if the host of a TCP address is unknown.
//   - The error of ctx if it ended before a TCP server accepted the connection.
//   - Otherwise the error of [net.Dialer.DialContext].
func Dial(ctx context.Context, network, address string, policy Policy) (*Conn, error) {
	if isTCP(network) {
		return dialTCP(ctx, network, address, policy)
	}
	if err := checkTarget(network, address); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: givenAddress(network, address), Err: err}
	}
	dialer := net.Dialer{Control: refuseDescriptors}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	admitted, denied := admit(conn, policy)
	if denied != nil {
		closeForeign(conn)
		return nil, &net.OpError{Op: "dial", Net: network, Addr: givenAddress(network, address), Err: denied}
	}
	admitted.quick = descriptorsAreRefused(conn.(*net.UnixConn))
	return admitted, nil
}

// isStream reports whether the sockets of a network have one peer.
func isStream(network string) bool { return network == "unix" || network == "unixpacket" }

// unknownNetwork names the networks that guard knows.
func unknownNetwork(network string) error {
	return fmt.Errorf(`%w: it must be "unix", "unixpacket", "tcp", "tcp4" or "tcp6"`, net.UnknownNetworkError(network))
}

// checkTarget refuses an address that package net would misread, or refuse without a reason.
func checkTarget(network, address string) error {
	if !isStream(network) {
		return unknownNetwork(network)
	}
	if strings.ContainsRune(address, 0) { // the kernel would end a path there
		return fmt.Errorf("the address %q has a NUL byte: %w", address, syscall.EINVAL)
	}
	if longest := longestAddress(address); len(address) > longest {
		return fmt.Errorf("the address has %d bytes, and a socket address has at most %d: use a shorter one, such as a symbolic link: %w",
			len(address), longest, syscall.EINVAL)
	}
	return nil
}

// longestAddress returns how many bytes an address like this one can have. An abstract name
// requires no NUL byte at its end.
func longestAddress(address string) int {
	if isAbstract(address) {
		return maxPath + 1
	}
	return maxPath
}
