package guard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"example.com/peercred"
)

// SameSender says who may write to a connection besides the peer that connected: see
// [Config].SameSender.
//
// A connection can change hands. A process can inherit it or receive its descriptor, and then
// write as the peer that connected. With SameProcess or SameUser, [Conn.Read] fails with
// *[Denied] as soon as bytes come from somebody else, and does not return them. All later
// reads fail too. The denial is counted, and reported to [Config].OnDeny.
//
// Both must hold: the Policy admits the peer that connected, and that peer sends. The sender
// alone says less than the peer, because a set-user-ID program writes what its caller wants.
//
// It applies to Conn.Read, and so to HTTP, TLS and gRPC over the connection. It does not apply
// to reads through NetConn and SyscallConn. A connection takes about 6 KB more memory.
type SameSender uint8

const (
	// AnySender lets every process that has the connection write to it.
	AnySender SameSender = iota
	// SameUser lets processes write whose real user is the user that connected, by its
	// effective uid. So a set-user-ID program cannot write, unless root started it.
	SameUser
	// SameProcess lets only the process that connected write. Its children cannot. A peer
	// whose pid is not visible is denied. Another process can get the pid and write if the
	// peer has exited and left the connection to it. Use it with CloseOnExit against that.
	SameProcess
)

// String returns the rule for logs.
func (s SameSender) String() string {
	switch s {
	case SameUser:
		return "bytes of the user that connected"
	case SameProcess:
		return "bytes of the process that connected"
	}
	return "bytes of any sender"
}

// admits reports whether the sender may write for the peer. It is not called for AnySender.
func (s SameSender) admits(sender peercred.Sender, peer peercred.PeerCredentials) bool {
	switch s {
	case SameUser:
		return sender.UID == peer.UID && checkMapped("uid", sender.UID, overflow().uid) == nil
	case SameProcess:
		return sender.PID == peer.PID && sender.PID != 0
	}
	return false
}

// expectedSender reads from a connection as long as its sender is the same.
type expectedSender struct {
	receiver *peercred.Receiver
	same     SameSender
	denied   atomic.Pointer[Denied] // once it was another
}

// expectSender makes c read the bytes of its peer alone. If it cannot, it returns the reason.
func (c *Conn) expectSender(same SameSender) *Denied {
	if same == AnySender {
		return nil
	}
	peer := c.peer.Credentials()
	socket, ok := c.Conn.(*net.UnixConn)
	var err error
	switch {
	case !ok || peer == nil:
		err = fmt.Errorf("SameSender requires a *net.UnixConn, and not a %T", c.Conn)
	case !same.admits(peercred.Sender(*peer), *peer):
		err = errors.New("the kernel does not report who the peer is")
	default:
		c.sender = &expectedSender{same: same}
		c.sender.receiver, err = peercred.NewReceiver(socket, peercred.ReceiverConfig{})
	}
	if err != nil {
		return c.peer.denied(same.String(), true, err)
	}
	return nil
}

// readSame is Read with a check of each sender.
func (c *Conn) readSame(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if denied := c.sender.denied.Load(); denied != nil {
		return 0, c.readError(denied)
	}
	m, err := c.sender.receiver.Receive(b)
	lost, isLost := errors.AsType[*peercred.ErrMessageLost](err)
	switch {
	case err == io.EOF:
		return 0, io.EOF
	case isLost:
		return 0, c.denySender(c.peer.denied(c.sender.same.String(), true, lost))
	case err != nil:
		return 0, c.readError(err)
	case !c.sender.same.admits(m.Sender, c.peer.conn.ids):
		clear(b[:m.N])
		return 0, c.denySender(c.peer.denied(c.sender.same.String(), false, fmt.Errorf("bytes came from %v", m.Sender)))
	}
	return m.N, nil
}

// denySender makes this read and all later ones fail.
func (c *Conn) denySender(denied *Denied) error {
	if !c.sender.denied.CompareAndSwap(nil, denied) {
		return c.readError(c.sender.denied.Load())
	}
	c.listener.counters.deny(denied)
	if !c.listener.reporter.report(denied) {
		c.listener.counters.unreported.Add(1)
	}
	return c.readError(denied)
}

func (c *Conn) readError(err error) error { return readError(c.LocalAddr(), c.RemoteAddr(), err) }

// readError has the form of package net's.
func readError(local, remote net.Addr, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: remote, Err: err}
}
