package guard

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Listener accepts only peers that its policy lets in. It is a [net.Listener], to
// be given to whatever serves from one. Its methods are safe for concurrent use.
type Listener struct {
	inner    net.Listener
	policy   Policy
	wanted   Facts
	counters counters
	reporter *reporter // nil if nobody wants reports
	closer   closer
	closed   chan struct{}
	close    func() error
}

// NewListener guards a listener that comes from elsewhere: socket activation,
// [net.FileListener], a test. Close closes inner.
//
// It returns an error that wraps [syscall.EINVAL] if config has a Mode, Owner, Group or
// AllowSharedDirectory, which are for the socket file that [Listen] makes. It then leaves
// inner open.
func NewListener(inner net.Listener, config Config) (*Listener, error) {
	if config.Mode != 0 || config.Owner != "" || config.Group != "" || config.AllowSharedDirectory {
		return nil, fmt.Errorf("guard: Mode, Owner, Group and AllowSharedDirectory are for Listen, which makes the socket file: %w", syscall.EINVAL)
	}
	if socket, ok := inner.(syscall.Conn); ok && !config.ReceiveDescriptors {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = refuseDescriptors("", "", raw) // what is no Unix socket cannot
		}
	}
	return newListener(inner, config), nil
}

// newListener is for a listener that refuses descriptors already, if it is to.
func newListener(inner net.Listener, config Config) *Listener {
	l := &Listener{inner: inner, policy: config.Policy, wanted: config.Ask, closer: newCloser(), closed: make(chan struct{})}
	if config.OnDeny != nil {
		l.reporter = &reporter{hook: config.OnDeny}
	}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		return inner.Close()
	})
	return l
}

// Accept is [Listener.AcceptPeer] for those who want a [net.Listener]: the
// connection is a *[Conn].
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.AcceptPeer()
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// AcceptPeer waits for the next peer that the policy lets in. The credentials are
// asked for once, right after the connection is accepted.
//
// Whoever is not let in is closed, counted and reported, and never an error here;
// and neither is a failure to accept that goes by, as for want of descriptors,
// which is waited out with pauses that grow from 5 ms to 1 s. The error is that of
// the listener which is guarded: [net.ErrClosed] after Close, or the timeout of its
// deadline.
func (l *Listener) AcceptPeer() (*Conn, error) {
	for pause := time.Duration(0); ; {
		conn, err := l.inner.Accept()
		if err == nil {
			pause = 0
			if admitted := l.admit(conn); admitted != nil {
				return admitted, nil
			}
			continue
		}
		if !goesBy(err) {
			return nil, err
		}
		l.counters.retried.Add(1)
		pause = longer(pause)
		if err := l.sleep(pause); err != nil {
			return nil, err
		}
	}
}

// admit returns nil for a peer that is not let in.
func (l *Listener) admit(conn net.Conn) *Conn {
	admitted, denied := admit(conn, l.policy, l.wanted)
	if denied != nil {
		l.closer.close(conn, l.closed)
		l.counters.deny(denied)
		if l.reporter != nil && !l.reporter.report(denied) {
			l.counters.unreported.Add(1)
		}
		return nil
	}
	l.counters.accepted.Add(1)
	return admitted
}

// goesBy reports whether to accept again is worth trying.
func goesBy(err error) bool {
	t, ok := errors.AsType[temporary](err)
	return ok && t.Temporary() && !t.Timeout() || isShortage(err)
}

// temporary is what tells net/http, too, that an error of accept(2) goes by: EMFILE
// and ENFILE above all. A deadline calls itself temporary as well.
type temporary interface {
	error
	Temporary() bool
	Timeout() bool
}

const (
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
)

func longer(pause time.Duration) time.Duration {
	return min(max(2*pause, shortestPause), longestPause)
}

// sleep ends early, with an error, when the listener is closed.
func (l *Listener) sleep(pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.closed:
		return &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close closes the listener that is guarded, and with it the connections that were
// not accepted yet (see [Config].ReceiveDescriptors for what that can wait for). If it
// is one of [Listen], it first removes its socket file, unless another file has taken
// its place. Accepted connections stay open. Closing again does nothing and returns
// the same error.
func (l *Listener) Close() error { return l.close() }

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Counts returns how many peers came, and what became of them.
func (l *Listener) Counts() Counts { return l.counters.read() }
