package guard

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"

	"example.com/peercred"
)

// Listener accepts only peers that its policy lets in. It is a [net.Listener], to
// be given to whatever serves from one. Its methods are safe for concurrent use.
type Listener struct {
	inner    net.Listener
	socket   syscall.Conn // inner, or the listener within it; nil if it gives no access
	quick    bool         // no peer could ever send descriptors, so that a close takes no time
	policy   Policy
	wanted   Facts
	limits   *limits
	watch    *watch // nil unless CloseOnExit
	counters counters
	reporter reporter
	closer   *closer
	closed   chan struct{}
	close    func() error
}

// NewListener guards a listener that comes from elsewhere: [net.FileListener], a test.
// (See [Inherited] for socket activation.) Close closes inner.
//
// The socket is inner's, or that of a listener which it wraps and returns by
// NetListener() net.Listener or Unwrap() net.Listener. Clients that connected before this
// call can have sent descriptors, whatever config says: see [Config].ReceiveDescriptors.
//
// It returns a listener, or an error and leaves inner open:
//
//   - What wraps [syscall.EINVAL] if config has no Policy; if it has a Mode, Owner, Group or
//     AllowSharedDirectory, which are for the socket file that [Listen] makes; and if inner
//     is nil or does not listen.
//   - What wraps *[peercred.ErrNotUnixSocket] for TCP and the like.
//   - What wraps *[peercred.ErrPeerCredentialsUnavailable] where the system does not tell who
//     connects, or has no handle on a process for CloseOnExit.
//   - What wraps [errors.ErrUnsupported] if inner gives no access to its socket and
//     ReceiveDescriptors is not set.
//   - Otherwise what the system says to the socket.
func NewListener(inner net.Listener, config Config) (*Listener, error) {
	l, err := guardListener(inner, config)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return l, nil
}

func guardListener(inner net.Listener, config Config) (*Listener, error) {
	if config.Mode != 0 || config.Owner != "" || config.Group != "" || config.AllowSharedDirectory {
		return nil, fmt.Errorf("the config has a Mode, Owner, Group or AllowSharedDirectory, which are for Listen, as it makes the socket file: %w", syscall.EINVAL)
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	if err := checkListener(inner, config); err != nil {
		return nil, err
	}
	return newListener(inner, config)
}

// check refuses what can serve nobody.
func (c Config) check() error {
	if c.Policy.isZero() {
		return fmt.Errorf("the Config has no Policy: name who is let in, as by CurrentUser(), or refuse all with Nobody(): %w", syscall.EINVAL)
	}
	support := peercred.Support()
	if !support.UID.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: support.UID.Reason}
	}
	if c.CloseOnExit && !support.Process.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: "CloseOnExit needs a handle on the peer's process: " + support.Process.Reason}
	}
	return nil
}

// checkListener refuses what is no Unix socket that listens, and has the socket refuse
// descriptors if it is to.
func checkListener(inner net.Listener, config Config) error {
	if inner == nil {
		return fmt.Errorf("the listener is nil: %w", syscall.EINVAL)
	}
	raw, err := rawSocket(inner)
	switch {
	case err == nil:
		if err := checkUnix(inner, socketOf(inner)); err != nil || config.ReceiveDescriptors {
			return err
		}
		return refuseDescriptors("", "", raw)
	case config.ReceiveDescriptors:
		return nil
	}
	return fmt.Errorf("the listener, a %T, gives no access to its socket, which cannot be told to refuse descriptors from peers: give it a method SyscallConn, or NetListener or Unwrap that returns a listener which has it, or set ReceiveDescriptors: %w", inner, err)
}

func rawSocket(inner net.Listener) (syscall.RawConn, error) {
	socket := socketOf(inner)
	if socket == nil {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

// checkUnix asks the kernel about the family of a listening socket.
func checkUnix(inner net.Listener, socket syscall.Conn) error {
	_, err := peercred.GetPeerCredentialsOf(socket)
	if err == nil {
		return fmt.Errorf("the socket is a connection and does not listen: %w", syscall.EINVAL)
	}
	if _, other := errors.AsType[*peercred.ErrNotUnixSocket](err); other {
		return fmt.Errorf("the listener on %v is none of a Unix socket, so that the kernel does not know its peers: listen with Listen, or with net.Listen(\"unix\", path): %w", inner.Addr(), err)
	}
	return nil // the others say that a listening socket has no peer
}

// newListener is for a config that was checked, and for a listener that refuses
// descriptors already, if it is to.
func newListener(inner net.Listener, config Config) (*Listener, error) {
	descriptors := descriptorLimit()
	l := &Listener{
		inner: inner, socket: socketOf(inner), policy: config.Policy, wanted: config.Ask,
		limits: config.limits(descriptors), closer: newCloser(descriptors),
		reporter: reporter{hook: config.OnDeny}, closed: make(chan struct{}),
	}
	if config.OnDeny == nil {
		l.reporter.hook = new(sparingLog).deny
	}
	if config.CloseOnExit {
		var err error
		if l.watch, err = newWatch(l.closer); err != nil {
			return nil, err
		}
	}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		err := promptly(inner.Close)
		if config.OnDeny == nil {
			l.reporter.report(nil) // for the summary
		}
		if l.watch != nil {
			l.watch.close()
		}
		return err
	})
	return l, nil
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
// A peer that is not let in, or is one too many of its user, is closed, counted and
// reported, and is no error here. Neither is a failure to accept that passes, as for want
// of descriptors: it is waited out with pauses that grow from 5 ms to 1 s. The error is
// that of the listener which is guarded: [net.ErrClosed] after Close, or the timeout of
// its deadline.
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
	c, denied := admit(conn, l.policy)
	if denied != nil {
		l.counters.deny(denied)
		l.refuse(conn, denied)
		return nil
	}
	uid := c.peer.conn.credentials.UID
	if rule, ok := l.limits.enter(uid); !ok {
		c.closeFacts()
		l.counters.limited.Add(1)
		l.refuse(conn, &Denied{Credentials: c.peer.Credentials(), Rule: rule})
		return nil
	}
	c.listener = l
	if denied := l.watchExit(c); denied != nil {
		c.closeFacts()
		c.leave()
		l.counters.deny(denied)
		l.refuse(conn, denied)
		return nil
	}
	c.peer.ask(l.wanted)
	l.counters.accepted.Add(1)
	return c
}

// refuse closes the connection of a peer that was counted.
func (l *Listener) refuse(conn net.Conn, denied *Denied) {
	l.closer.close(conn)
	if !l.reporter.report(denied) {
		l.counters.unreported.Add(1)
	}
}

const ruleLiving = "a process that has not ended" // which CloseOnExit demands

// watchExit returns why the connection cannot be closed when the peer's process ends.
func (l *Listener) watchExit(c *Conn) *Denied {
	if l.watch == nil {
		return nil
	}
	err := l.watch.add(c)
	if err == nil {
		return nil
	}
	_, ended := errors.AsType[*peercred.ErrPeerProcessGone](err)
	return &Denied{Credentials: c.peer.Credentials(), Rule: ruleLiving, Failed: !ended, Err: err}
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
// not accepted yet, unless another process has the socket: see [Listener.File]. If it is
// one of [Listen], it first removes its socket file, unless another file has taken its
// place or SetUnlinkOnClose(false) was called. Accepted connections stay open. Closing
// again does nothing and returns the same error.
func (l *Listener) Close() error { return l.close() }

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Counts returns how many peers came, and what became of them.
func (l *Listener) Counts() Counts { return l.counters.read() }
