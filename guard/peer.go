package guard

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"

	"example.com/peercred"
)

// Peer is the process at the other end of a connection, as the kernel knows it. On TCP the
// kernel knows only its user, and a method for any other fact returns an error. That error
// matches [errors.ErrUnsupported]. Only this
// package makes one, from a connection, so no caller can present its own numbers as the
// kernel's answer. Every [Policy] denies the zero Peer.
//
// A fact that was asked for while the connection was open stays available. Once the
// connection is closed, any other fact is an error, and a rule that requires it denies the
// peer. A Peer is safe for concurrent use.
type Peer struct{ conn *Conn }

// Credentials returns the peer's ids: see [peercred.PeerCredentials]. They were asked for
// once, when the connection was admitted. It returns nil for the zero Peer and on TCP, where
// the kernel reports only the [Peer.UID].
func (p Peer) Credentials() *peercred.PeerCredentials {
	if p.conn == nil || p.conn.credentials == nil {
		return nil
	}
	credentials := *p.conn.credentials // a copy, which the caller may change
	return &credentials
}

// UID returns the peer's user id, on a Unix socket and on TCP. It was asked for once, when
// the connection was admitted. For the zero Peer it returns an error. On TCP it is that of
// [peercred.GetLoopbackPeerUID].
func (p Peer) UID() (uint32, error) {
	if p.conn == nil {
		return 0, errNobody
	}
	return p.conn.uid, nil
}

// reports returns an error if the connection never reports the fact.
func (p Peer) reports(fact string) error {
	switch {
	case p.conn == nil:
		return errNobody
	case p.conn.credentials == nil:
		return notOnTCP(fact)
	}
	return nil
}

func (p Peer) gid() (uint32, error) {
	if err := p.reports("gid"); err != nil {
		return 0, err
	}
	return p.conn.credentials.GID, nil
}

func (p Peer) pid() (int32, error) {
	if err := p.reports("pid"); err != nil {
		return 0, err
	}
	return p.conn.credentials.PID, nil
}

// loopback returns what is known about the peer of a TCP connection, and nil on a Unix
// socket. The caller may change it.
func (p Peer) loopback() *LoopbackPeer {
	if p.conn == nil || p.conn.credentials != nil {
		return nil
	}
	return &LoopbackPeer{Address: p.conn.address, UID: new(p.conn.uid)}
}

// Groups returns the peer's supplementary groups as of connect time. The kernel is asked
// once: at the first call, or by [Config].Prefetch. The error is that of
// [peercred.GetPeerGroups]. It wraps [net.ErrClosed] if the connection was closed first. For
// the zero Peer, and on TCP, Groups returns an error.
func (p Peer) Groups() ([]uint32, error) {
	groups, err := p.groups()
	return slices.Clone(groups), err
}

// groups returns the groups, which the caller must not change.
func (p Peer) groups() ([]uint32, error) {
	if err := p.reports("groups"); err != nil {
		return nil, err
	}
	return p.conn.known().groups.of(p.conn.Conn, peercred.GetPeerGroups)
}

// SecurityLabel returns the peer's security label as of connect time. The kernel is asked
// once, as for Groups. The error is that of [peercred.GetPeerSecurityLabel]. After a close,
// for the zero Peer and on TCP, it is like that of Groups.
func (p Peer) SecurityLabel() (string, error) {
	if err := p.reports("security label"); err != nil {
		return "", err
	}
	return p.conn.known().label.of(p.conn.Conn, peercred.GetPeerSecurityLabel)
}

// Process returns a handle on the peer's process. [Conn.Close] closes it, so do not close
// it yourself. It is opened once, and takes a descriptor. The error is that of
// [peercred.OpenPeerProcess]. After a close, for the zero Peer and on TCP, it is like that of
// Groups.
func (p Peer) Process() (*peercred.PeerProcess, error) {
	if err := p.reports("process"); err != nil {
		return nil, err
	}
	return p.conn.known().process.of(p.conn.Conn, peercred.OpenPeerProcess)
}

// ask asks for facts now. An error is kept for the method that returns the fact.
func (p Peer) ask(wanted Prefetch) {
	if wanted&PrefetchGroups != 0 {
		_, _ = p.groups()
	}
	if wanted&PrefetchSecurityLabel != 0 {
		_, _ = p.SecurityLabel()
	}
	if wanted&PrefetchProcess != 0 {
		_, _ = p.Process()
	}
}

// String returns the credentials for logs. On TCP it returns uid and address, as
// [LoopbackPeer.String] does. For the zero Peer it returns "<nil>".
func (p Peer) String() string {
	if loopback := p.loopback(); loopback != nil {
		return loopback.String()
	}
	return p.Credentials().String()
}

// LogValue returns the same as a slog group.
func (p Peer) LogValue() slog.Value {
	if loopback := p.loopback(); loopback != nil {
		return loopback.LogValue()
	}
	return p.Credentials().LogValue()
}

// denied returns the denial of p by a rule.
func (p Peer) denied(rule string, failed bool, err error) *Denied {
	return &Denied{Credentials: p.Credentials(), Loopback: p.loopback(), Rule: rule, Failed: failed, Err: err}
}

// Prefetch names facts about a peer, as bits. See [Config].Prefetch.
type Prefetch uint8

// The facts that [Config].Prefetch can name. Other facts are asked for when a Policy or the
// program requires them. On Linux a later answer has the same groups and the same label.
// illumos forgets the groups when the peer closes its end. A handle can be opened only while
// the process exists.
const (
	PrefetchGroups Prefetch = 1 << iota
	PrefetchSecurityLabel
	PrefetchProcess
)

// facts are the facts about a peer besides its credentials.
type facts struct {
	groups  fact[[]uint32]
	label   fact[string]
	process fact[*peercred.PeerProcess]
}

// closedFacts are the facts of a connection that was closed before one was asked for.
var closedFacts = func() *facts {
	f := new(facts)
	f.groups.settle(nil, net.ErrClosed)
	f.label.settle("", net.ErrClosed)
	f.process.settle(nil, net.ErrClosed)
	return f
}()

// close closes the handle on the process, if there is one. No handle can be opened after
// that.
func (f *facts) close() {
	f.process.settle(nil, net.ErrClosed)
	if f.process.err == nil {
		f.process.value.Close()
	}
}

// fact is an answer that is asked for once.
type fact[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (f *fact[T]) of(conn net.Conn, ask func(net.Conn) (T, error)) (T, error) {
	f.once.Do(func() {
		f.err = errUnanswered // if ask panics
		f.value, f.err = ask(conn)
	})
	return f.value, f.err
}

// settle sets the answer, unless there is one. If a goroutine is asking, settle waits for it.
func (f *fact[T]) settle(value T, err error) {
	f.once.Do(func() { f.value, f.err = value, err })
}

var (
	errNobody     = errors.New("guard: there is no peer")
	errUnanswered = errors.New("guard: the question was not answered")
)
