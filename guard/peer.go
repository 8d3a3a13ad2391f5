package guard

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"

	"example.com/peercred"
)

// Peer is the process at the other end of a connection, as the kernel knows it. Only this
// package makes one, from a connection, so no caller can pass off its own numbers as the
// kernel's answer. Every [Policy] denies the zero Peer.
//
// A fact that was asked for while the connection was open stays known. Asking for any other
// fact after that is an error, and a rule that requires it denies the peer. A Peer is safe
// for concurrent use.
type Peer struct{ conn *Conn }

// Credentials returns the peer's ids, which were asked for once, when the
// connection was made, and nil for the zero Peer. See [peercred.PeerCredentials]
// for what they mean.
func (p Peer) Credentials() *peercred.PeerCredentials {
	if p.conn == nil {
		return nil
	}
	credentials := p.conn.credentials // a copy, which the caller may change
	return &credentials
}

// Groups returns the peer's supplementary groups as of connect time. They are
// asked for once, at the first call, unless [Config].Prefetch has done so already. Its
// errors are those of [peercred.GetPeerGroups], an error that wraps [net.ErrClosed]
// among them if the connection was closed before they were asked for. The zero Peer
// has none, which is an error too.
func (p Peer) Groups() ([]uint32, error) {
	groups, err := p.groups()
	return slices.Clone(groups), err
}

// groups is not to be changed.
func (p Peer) groups() ([]uint32, error) {
	if p.conn == nil {
		return nil, errNobody
	}
	return p.conn.known().groups.of(p.conn.Conn, peercred.GetPeerGroups)
}

// SecurityLabel returns the peer's security label as of connect time. It is asked
// for as Groups are, and fails as they do and as [peercred.GetPeerSecurityLabel]
// does.
func (p Peer) SecurityLabel() (string, error) {
	if p.conn == nil {
		return "", errNobody
	}
	return p.conn.known().label.of(p.conn.Conn, peercred.GetPeerSecurityLabel)
}

// Process returns a handle on the peer's process, which is closed together with
// the connection: do not close it. It is opened once, as Groups are asked for, and
// fails as they do and as [peercred.OpenPeerProcess] does.
func (p Peer) Process() (*peercred.PeerProcess, error) {
	if p.conn == nil {
		return nil, errNobody
	}
	return p.conn.known().process.of(p.conn.Conn, peercred.OpenPeerProcess)
}

// ask finds out what is wanted at once. What cannot be had is an error of the
// method that returns it, later on.
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

// String returns the credentials for logs, "<nil>" for the zero Peer.
func (p Peer) String() string { return p.Credentials().String() }

// LogValue returns the credentials as a slog group.
func (p Peer) LogValue() slog.Value { return p.Credentials().LogValue() }

// Prefetch names facts about a peer, as bits. See [Config].Prefetch.
type Prefetch uint8

// The facts that [Config].Prefetch can name. Other facts are asked for when a Policy or the
// program needs them. On Linux the answer is the same then. illumos forgets the groups when
// the peer closes its end.
const (
	PrefetchGroups Prefetch = 1 << iota
	PrefetchSecurityLabel
	PrefetchProcess
)

// facts are what is known of a peer besides its credentials.
type facts struct {
	groups  fact[[]uint32]
	label   fact[string]
	process fact[*peercred.PeerProcess]
}

// closedFacts are those of a connection that was closed before any was asked for.
var closedFacts = func() *facts {
	f := new(facts)
	f.groups.settle(nil, net.ErrClosed)
	f.label.settle("", net.ErrClosed)
	f.process.settle(nil, net.ErrClosed)
	return f
}()

// close closes the handle on the process, if there is one, and lets none be opened
// any more.
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
		f.err = errUnanswered // should ask panic
		f.value, f.err = ask(conn)
	})
	return f.value, f.err
}

// settle is the answer unless there is one already. It waits for one that is on the way.
func (f *fact[T]) settle(value T, err error) {
	f.once.Do(func() { f.value, f.err = value, err })
}

var (
	errNobody     = errors.New("guard: there is no peer")
	errUnanswered = errors.New("guard: the question was not answered")
)
