package guard

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/peercred"
)

// Listener accepts only peers that its policy admits. It is a [net.Listener], so any server
// can serve from it. Its methods are safe for concurrent use.
type Listener struct {
	inner    net.Listener
	socket   syscall.Conn // inner, or the listener that it wraps; nil if neither gives access
	refuses  bool         // the kernel refuses descriptors that peers send
	quick    atomic.Bool  // it does so on all connections that are accepted from now on
	policy   Policy
	identify func(net.Conn, Policy) (*Conn, *Denied) // admit, or admitTCP
	wanted   Prefetch
	limits   *limits
	watch    *watch // nil unless CloseOnExit
	same     SameSender
	counters counters
	reporter *reporter
	closer   *closer
	closed   chan struct{}
	close    func() error
}

// NewListener guards an existing listener, such as one of [net.FileListener] or of a test.
// For socket activation, see [Inherited]. Close closes inner.
//
// The socket is that of inner, or of a listener that inner wraps and returns by
// NetListener() net.Listener or Unwrap() net.Listener. Clients that connected before this
// call can have sent descriptors, whatever config says: see [Config].ReceiveDescriptors.
//
// If NewListener fails, inner stays open. The error wraps:
//
//   - [syscall.EINVAL] if config has no Policy, if config has a Mode, Owner, Group or
//     AllowSharedDirectory (they are for the socket file that [Listen] makes), and if inner
//     is nil or does not listen. With AllowLoopbackTCP also if a TCP listener's address is
//     not loopback, or if a field of config has no meaning on TCP.
//   - *[peercred.ErrNotUnixSocket] for TCP without [Config].AllowLoopbackTCP, and the like.
//   - *[peercred.ErrPeerCredentialsUnavailable] if the system does not report who connects,
//     or has no handle on a process for CloseOnExit.
//   - [errors.ErrUnsupported] if inner gives no access to its socket and ReceiveDescriptors
//     is false.
//   - Otherwise the error of the system call on the socket.
func NewListener(inner net.Listener, config Config) (*Listener, error) {
	l, err := guardListener(inner, config)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return l, nil
}

func guardListener(inner net.Listener, config Config) (*Listener, error) {
	if err := config.checkNoFile(); err != nil {
		return nil, err
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	tcp, err := checkListener(inner, config)
	if err != nil {
		return nil, err
	}
	l, err := newListener(inner, config)
	if err == nil && tcp {
		l.isOnTCP()
	}
	return l, err
}

// checkNoFile refuses a config for a socket file, of an existing socket.
func (c Config) checkNoFile() error {
	if c.Mode != 0 || c.Owner != "" || c.Group != "" || c.AllowSharedDirectory {
		return fmt.Errorf("the Config has a Mode, Owner, Group or AllowSharedDirectory: leave them out, they are for the socket file that Listen makes: %w", syscall.EINVAL)
	}
	return nil
}

// check refuses a config that can serve nobody.
func (c Config) check() error {
	if c.Policy.isZero() {
		return fmt.Errorf("the Config has no Policy: set one such as CurrentUser(), or Nobody() to deny every peer: %w", syscall.EINVAL)
	}
	return nil
}

// checkUnix refuses a system that does not report what the config requires of the peers of
// a Unix socket.
func (c Config) checkUnix() error {
	support := peercred.Support()
	if !support.UID.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: support.UID.Reason}
	}
	if c.SameSender != AnySender && !support.Sender.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: "SameSender: " + support.Sender.Reason}
	}
	if c.CloseOnExit && !support.Process.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: "CloseOnExit requires a handle on the peer's process: " + support.Process.Reason}
	}
	return nil
}

// checkListener refuses a listener that is neither on a Unix socket nor, if config allows
// that, on loopback TCP. It makes a Unix socket refuse descriptors, unless config lets peers
// send them.
func checkListener(inner net.Listener, config Config) (tcp bool, err error) {
	if inner == nil {
		return false, fmt.Errorf("the listener is nil: %w", syscall.EINVAL)
	}
	if v := reflect.ValueOf(inner); v.Kind() == reflect.Pointer && v.IsNil() {
		return false, fmt.Errorf("the listener is a nil %T: check the error of the call that made it: %w", inner, syscall.EINVAL)
	}
	raw, err := rawSocket(inner)
	switch {
	case err == nil:
		tcp, err := checkFamily(inner, socketWithin(inner), config)
		if err != nil || tcp {
			return tcp, err
		}
		if err := config.checkUnix(); err != nil {
			return false, err
		}
		return false, config.attributes().control("", "", raw)
	case config.ReceiveDescriptors:
		return false, config.checkUnix()
	}
	return false, fmt.Errorf("the listener, a %T, gives no access to its socket, so guard cannot make the socket refuse descriptors from peers: give it a SyscallConn method, or a NetListener or Unwrap method that returns a listener with SyscallConn, or set ReceiveDescriptors: %w", inner, err)
}

func rawSocket(inner net.Listener) (syscall.RawConn, error) {
	socket := socketWithin(inner)
	if socket == nil {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

// checkFamily asks the kernel about the family of a listening socket.
func checkFamily(inner net.Listener, socket syscall.Conn, config Config) (tcp bool, err error) {
	_, err = peercred.GetPeerCredentialsOf(socket)
	if err == nil {
		return false, fmt.Errorf("the socket is a connection and does not listen: %w", syscall.EINVAL)
	}
	other, ok := errors.AsType[*peercred.ErrNotUnixSocket](err)
	switch {
	case ok && other.ConnType == "TCP" && config.AllowLoopbackTCP:
		return true, config.checkTCPListener(inner)
	case ok:
		return false, fmt.Errorf("the listener on %v is not on a Unix socket, so the kernel does not know its peers: listen with guard.Listen, or with net.Listen(\"unix\", path), or set AllowLoopbackTCP for a TCP listener on loopback: %w", inner.Addr(), err)
	}
	return false, nil // any other error says that a listening socket has no peer
}

// newListener expects a config that was checked. The listener must refuse descriptors
// already, if config asks for that.
func newListener(inner net.Listener, config Config) (*Listener, error) {
	l := &Listener{
		inner: inner, socket: socketWithin(inner), policy: config.Policy, identify: admit, wanted: config.Prefetch,
		limits: config.limits(descriptorLimit()), closer: closerOfDenied(),
		same: config.SameSender, reporter: config.reporter(), closed: make(chan struct{}),
	}
	l.refuses = !config.ReceiveDescriptors && descriptorsAreRefused(l.socket) // checkListener required the socket
	if config.CloseOnExit {
		var err error
		if l.watch, err = newWatch(); err != nil {
			return nil, err
		}
	}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		err := closeLast(l.socket, inner.Close)
		l.reporter.end()
		if l.watch != nil {
			l.watch.close()
		}
		return err
	})
	return l, nil
}

// Accept is [Listener.AcceptPeer] as a method of [net.Listener]. The connection is a
// *[Conn].
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.AcceptPeer()
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// AcceptPeer waits for the next peer that the policy admits. It asks for the credentials
// once, right after the connection is accepted.
//
// If a peer is denied or over a limit, AcceptPeer closes its connection, counts and reports
// it, and waits for the next peer. After a temporary failure to accept, such as a lack of
// descriptors, AcceptPeer tries again, with pauses that grow from 5 ms to 1 s. It returns the
// error of the guarded listener: [net.ErrClosed] after Close, or the timeout of its deadline.
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

// admit returns nil for a denied peer.
func (l *Listener) admit(conn net.Conn) *Conn {
	c, denied := l.identify(conn, l.policy)
	if denied != nil {
		l.counters.deny(denied)
		l.closeDenied(conn, denied)
		return nil
	}
	if rule, ok := l.limits.enter(c.peer.conn.uid); !ok {
		c.closeFacts()
		l.counters.limited.Add(1)
		l.closeDenied(conn, c.peer.denied(rule, false, nil))
		return nil
	}
	c.listener = l
	c.quick = l.isQuick(conn)
	if denied := l.watchExit(c); denied != nil {
		c.closeFacts()
		c.leave()
		l.counters.deny(denied)
		l.closeDenied(conn, denied)
		return nil
	}
	if denied := c.expectSender(l.same); denied != nil {
		c.closeFacts()
		c.leave()
		l.counters.deny(denied)
		l.closeDenied(conn, denied)
		return nil
	}
	c.peer.ask(l.wanted)
	l.counters.accepted.Add(1)
	return c
}

// isQuick reports whether the peer could never send descriptors. Connections are accepted
// in the order in which they were made. So after the first one that refuses descriptors,
// all do.
func (l *Listener) isQuick(conn net.Conn) bool {
	if l.quick.Load() {
		return true
	}
	socket, ok := conn.(syscall.Conn)
	if !ok || !l.refuses || !descriptorsAreRefused(socket) {
		return false
	}
	l.quick.Store(true)
	return true
}

// closeDenied closes the connection of a denied peer, which was counted, and reports it.
func (l *Listener) closeDenied(conn net.Conn, denied *Denied) {
	if l.quick.Load() || hasNoDescriptors(conn) {
		closeForeign(conn)
	} else {
		l.closer.close(conn)
	}
	if !l.reporter.report(denied) {
		l.counters.unreported.Add(1)
	}
}

const ruleLiving = "a process that has not ended" // CloseOnExit requires it

// watchExit makes the connection close when the peer's process ends. If it cannot, it
// returns the reason.
func (l *Listener) watchExit(c *Conn) *Denied {
	if l.watch == nil {
		return nil
	}
	err := l.watch.add(c)
	if err == nil {
		return nil
	}
	_, ended := errors.AsType[*peercred.ErrPeerProcessGone](err)
	return c.peer.denied(ruleLiving, !ended, err)
}

// goesBy reports whether an error of Accept is temporary.
func goesBy(err error) bool {
	t, ok := errors.AsType[temporary](err)
	return ok && t.Temporary() && !t.Timeout() || isShortage(err)
}

// temporary is the interface by which net/http, too, recognizes a temporary error of
// accept(2), above all EMFILE and ENFILE. A deadline calls itself temporary as well.
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

// sleep returns early, with an error, if the listener is closed.
func (l *Listener) sleep(pause time.Duration) error {
	select {
	case <-time.After(pause):
		return nil
	case <-l.closed:
		return &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close closes the guarded listener. That also closes the connections that were not
// accepted yet, unless another process has the socket: see [Listener.File]. If the listener
// is one of [Listen], Close first removes its socket file, unless another file has taken
// its place or SetUnlinkOnClose(false) was called. Accepted connections stay open. A second
// Close does nothing and returns the same error.
func (l *Listener) Close() error { return l.close() }

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Counts returns the numbers of peers so far, by outcome.
func (l *Listener) Counts() Counts { return l.counters.read() }

// limits counts the open connections of a [Listener]: in all, and of each user.
type limits struct {
	most, mostOfUID int // negative for any number

	mu    sync.Mutex
	open  int
	ofUID map[uint32]int // only uids with open connections
}

// limits returns the limits that config asks for. The defaults, which [Config] documents,
// are for a process that may have this many descriptors.
func (c Config) limits(descriptors int) *limits {
	each := 1 // descriptors of a connection
	if c.CloseOnExit || c.Prefetch&PrefetchProcess != 0 {
		each = 2
	}
	available := descriptors / each
	l := &limits{most: c.MaxConns, mostOfUID: c.MaxConnsPerUID, ofUID: map[uint32]int{}}
	if l.most == 0 {
		l.most = max(1, available/2)
	}
	switch {
	case l.mostOfUID == 0 && l.most > 0:
		l.mostOfUID = max(1, l.most/2)
	case l.mostOfUID == 0:
		l.mostOfUID = max(1, available/4)
	}
	return l
}

// enter takes a slot, which [limits.leave] gives back. If no slot is left, it returns the
// rule that denies the peer.
func (l *limits) enter(uid uint32) (rule string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mostOfUID >= 0 && l.ofUID[uid] >= l.mostOfUID:
		return fmt.Sprintf("at most %d connections of a uid", l.mostOfUID), false
	case l.most >= 0 && l.open >= l.most:
		return fmt.Sprintf("at most %d connections", l.most), false
	}
	l.open++
	l.ofUID[uid]++
	return "", true
}

func (l *limits) leave(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.ofUID[uid]--; l.ofUID[uid] == 0 {
		delete(l.ofUID, uid)
	}
}
