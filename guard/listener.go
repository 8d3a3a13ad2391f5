package guard

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Options are what a [Listener] does besides letting peers in or not.
type Options struct {
	// Ask names the facts to ask for at once, beside the credentials.
	Ask Facts
	// OnDeny is told of every peer that was not let in, one after the other, as its
	// connection is closed. It runs in a goroutine of its own, so that a slow
	// one does not keep peers waiting; what it has not got round to is kept, up to
	// 1024 refusals, and further ones are counted as unreported. If it panics, that is
	// logged to [slog.Default], and the next refusal is reported. [LogDenied] makes one
	// that logs.
	OnDeny func(*Denied)
	// ReceiveDescriptors lets peers send descriptors (SCM_RIGHTS). If it is false, Linux
	// 6.16 and newer refuses them, with EPERM for the sender. Descriptors that nobody
	// receives can make it take as long as their sender likes to close a connection: so
	// where they are let in, and on older kernels, the refused peers' connections are
	// closed 512 at a time, and somebody who refuses to let go of so many keeps others
	// from being accepted.
	ReceiveDescriptors bool
}

// Listener accepts only peers that its policy lets in. It is a [net.Listener], to
// be given to whatever serves from one. Its methods are safe for concurrent use.
type Listener struct {
	inner    net.Listener
	local    net.Addr // of the accepted connections, nil for their own
	policy   Policy
	wanted   Facts
	counters counters
	reporter *reporter // nil if nobody wants reports
	closer   closer
	closed   chan struct{}
	close    func() error
}

// NewListener guards a listener that comes from elsewhere: systemd's activation,
// [net.FileListener], a test. Close closes inner. A peer of whom the kernel, or the
// connection, does not tell, as of a TCP socket, is not let in. The zero Policy
// lets in nobody.
//
// For a socket file of our own, [Listen] also sees to its permissions.
func NewListener(inner net.Listener, policy Policy, options Options) *Listener {
	if socket, ok := inner.(syscall.Conn); ok && !options.ReceiveDescriptors {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = refuseDescriptors("", "", raw) // what is no Unix socket cannot
		}
	}
	return newListener(inner, policy, options)
}

// newListener is for a listener that refuses descriptors already, if it is to.
func newListener(inner net.Listener, policy Policy, options Options) *Listener {
	l := &Listener{inner: inner, policy: policy, wanted: options.Ask, closer: newCloser(), closed: make(chan struct{})}
	if options.OnDeny != nil {
		l.reporter = &reporter{hook: options.OnDeny}
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
	admitted.local = l.local
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
// not accepted yet (see [Options].ReceiveDescriptors for what that can wait for). If it
// is one of [Listen], it first removes its socket file, unless another file has taken
// its place. Accepted connections stay open. Closing again does nothing and returns
// the same error.
func (l *Listener) Close() error { return l.close() }

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Counts returns how many peers came, and what became of them.
func (l *Listener) Counts() Counts { return l.counters.read() }
