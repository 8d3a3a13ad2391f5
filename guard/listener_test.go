package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
)

func needCredentials(t testing.TB) {
	t.Helper()
	if known := peercred.Support().UID; !known.Available {
		t.Skipf("this system does not report who connects: %s", known.Reason)
	}
}

func everybody() Policy { return Func("everybody", func(Peer) error { return nil }) }

// listenAs listens on a socket in a directory of its own.
func listenAs(t testing.TB, config Config) *Listener {
	t.Helper()
	needCredentials(t)
	listener, err := Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "s"), quiet(config))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, listener)
	return listener
}

// closeAtEnd closes the listener at the end of the test, and waits until it has settled.
func closeAtEnd(t testing.TB, listener *Listener) {
	t.Cleanup(func() {
		listener.Close()
		listener.settle()
	})
}

// quiet keeps what a test is not about out of the log, which another test may read.
func quiet(config Config) Config {
	if config.OnDeny == nil {
		config.OnDeny = func(*Denied) {}
	}
	return config
}

// newGuarded is NewListener where no error is expected.
func newGuarded(t testing.TB, inner net.Listener, config Config) *Listener {
	t.Helper()
	needCredentials(t)
	listener, err := NewListener(inner, quiet(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(listener.settle)
	return listener
}

// settle waits until every denied peer's connection is closed and reported. The next test
// then finds nothing of this one in the log or among the descriptors.
func (l *Listener) settle() {
	l.closer.wait()
	l.reporter.wait()
}

// wait waits until the queue is empty.
func (q *queue[T]) wait() {
	for q.busy() > 0 {
		runtime.Gosched()
	}
}

func (q *queue[T]) busy() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running
}

// isDenied reports whether err is a denial.
func isDenied(err error) bool {
	_, denied := errors.AsType[*Denied](err)
	return denied
}

func dialPlain(t testing.TB, listener net.Listener) *net.UnixConn {
	t.Helper()
	return dialAny(t, listener).(*net.UnixConn)
}

// dialAny connects to a listener on any network.
func dialAny(t testing.TB, listener net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial(listener.Addr().Network(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// patience ends a wait that would never end. If the code is correct, the wait ends earlier,
// even on a slow machine.
const patience = 5 * time.Minute

func acceptPeer(t testing.TB, listener *Listener) *Conn {
	t.Helper()
	defer time.AfterFunc(patience, func() { listener.Close() }).Stop()
	conn, err := listener.AcceptPeer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// isClosed fails the test unless the other end closes conn and has sent nothing.
func isClosed(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // EOF, or a reset if it had said something
		t.Errorf("a peer that was not admitted read %d bytes, %v, want the end", n, err)
	}
}

// An admitted peer is a *Conn that knows its peer, and works as a connection.
func TestAccept(t *testing.T) {
	listener := listenAs(t, Config{Policy: CurrentUser()})
	client := dialPlain(t, listener)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want, err := peercred.GetPeerCredentials(conn) // finds the inner connection
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, conn.(*Conn).Peer().Credentials()); diff != "" {
		t.Errorf("the peer's credentials (-want +got):\n%s", diff)
	}
	if want.UID != uint32(os.Geteuid()) {
		t.Errorf("the peer is %v", want)
	}
	if _, ok := conn.(*Conn).NetConn().(*net.UnixConn); !ok {
		t.Errorf("NetConn is a %T", conn.(*Conn).NetConn())
	}
	if got := conn.LocalAddr().String(); got != listener.Addr().String() {
		t.Errorf("LocalAddr is %q, want the socket file %q", got, listener.Addr())
	}
	if diff := cmp.Diff(Counts{Accepted: 1, Denied: map[string]uint64{}}, listener.Counts()); diff != "" {
		t.Errorf("Counts (-want +got):\n%s", diff)
	}

	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(client); string(said) != "hello" || err != nil {
		t.Errorf("the client read %q, %v", said, err)
	}
	// A deadline ends a Read that waits, because the descriptor is still in the poller. If
	// the descriptor were blocking, only the client's end would end the Read.
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { client.Close() }).Stop()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read until its deadline: %v", err)
	}
}

// A Conn gives access to its descriptor. peercred answers for the Conn, and Admit does not
// ask again.
func TestSyscallConn(t *testing.T) {
	listener := listenAs(t, Config{Policy: CurrentUser()})
	dialPlain(t, listener)
	conn := acceptPeer(t, listener)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	called := false
	if err := raw.Control(func(uintptr) { called = true }); err != nil || !called {
		t.Errorf("Control = %v, called %v", err, called)
	}
	type embedding struct{ *Conn }
	for _, of := range []net.Conn{conn, embedding{conn}, wrapper{conn}} {
		got, err := peercred.GetPeerCredentials(of)
		if diff := cmp.Diff(conn.Peer().Credentials(), got); diff != "" {
			t.Errorf("GetPeerCredentials of %T: %v (-want +got):\n%s", of, err, diff)
		}
		again, err := Admit(of, CurrentUser())
		if err != nil || again.Peer() != conn.Peer() {
			t.Errorf("Admit of %T: %v, and another peer", of, err)
		}
	}
	if got, err := peercred.GetPeerCredentialsOf(conn); err != nil || got.UID != uint32(os.Geteuid()) {
		t.Errorf("GetPeerCredentialsOf = %v, %v", got, err)
	}
	conn.Close()
	if err := raw.Control(func(uintptr) {}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Control after Close = %v, want net.ErrClosed", err)
	}
	hidden, err := Admit(wrapper{dialPlain(t, listener)}, everybody())
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := hidden.SyscallConn(); raw != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn of what hides it = %v, %v, want ErrUnsupported", raw, err)
	}
}

// A client chooses its own address, so the address does not change the credentials.
func TestRemoteAddrIsNotTouched(t *testing.T) {
	listener := listenAs(t, Config{Policy: CurrentUser()})
	name := filepath.Join(t.TempDir(), "pid=1 uid=0 gid=0;")
	client, err := net.DialUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}, listener.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := acceptPeer(t, listener)
	if got := conn.RemoteAddr(); got.String() != name || got.Network() != "unix" {
		t.Errorf("RemoteAddr is %v, want what the client chose and nothing more", got)
	}
}

// A listener that was received as a descriptor, as from systemd, is guarded too.
func TestFileListener(t *testing.T) {
	needCredentials(t)
	original, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	file, err := original.File()
	if err != nil {
		t.Skipf("this system does not hand out a listener's descriptor: %v", err)
	}
	inner, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	listener := newGuarded(t, inner, Config{Policy: CurrentUser()})
	defer listener.Close()
	client := dialPlain(t, listener)
	conn := acceptPeer(t, listener)
	if got := conn.Peer().Credentials(); got.UID != uint32(os.Geteuid()) {
		t.Errorf("the peer is %v", got)
	}
	if got, want := conn.LocalAddr().String(), original.Addr().String(); got != want {
		t.Errorf("LocalAddr is %q, want %q", got, want)
	}
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v", n, err)
	}
}

// A denied peer's connection is closed, counted and reported, and the next peer is served.
func TestDeniedPeers(t *testing.T) {
	reports := make(chan *Denied)
	var wanted atomic.Bool
	listener := listenAs(t, Config{
		Policy: AnyOf(UIDs(), Func("when wanted", func(Peer) error { return deniedUnless(wanted.Load()) })),
		OnDeny: func(d *Denied) { reports <- d },
	})
	var refused []net.Conn
	for range 3 {
		refused = append(refused, dialPlain(t, listener))
	}
	accepted := make(chan *Conn)
	go func() {
		conn, err := listener.AcceptPeer()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	const rule = "any of (uid in an empty list; when wanted)"
	for _, client := range refused {
		isClosed(t, client)
	}
	for range refused {
		d := <-reports
		if d.Rule != rule || d.Failed || d.Credentials == nil || d.Credentials.UID != uint32(os.Geteuid()) {
			t.Errorf("reported: %+v", d)
		}
	}
	wanted.Store(true)
	dialPlain(t, listener)
	if conn := <-accepted; conn != nil {
		conn.Close()
	}
	want := Counts{Accepted: 1, Denied: map[string]uint64{rule: 3}}
	if diff := cmp.Diff(want, listener.Counts()); diff != "" {
		t.Errorf("Counts (-want +got):\n%s", diff)
	}
}

// Nobody denies every peer, and so does a policy that panics. The listener goes on.
func TestNobodyIsLetIn(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy Policy
		want   Counts
	}{
		{"nobody", Nobody(), Counts{Denied: map[string]uint64{"nobody": 2}}},
		{"a panic", Func("panics", func(Peer) error { panic(nil) }), Counts{Denied: map[string]uint64{}, Failed: 2}},
		{"a panic about the peer", Func("panics", func(p Peer) error { return (*Denied)(nil).Err }), Counts{Denied: map[string]uint64{}, Failed: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := listenAs(t, Config{Policy: test.policy})
			done := make(chan error)
			go func() {
				_, err := listener.Accept()
				done <- err
			}()
			for range 2 {
				isClosed(t, dialPlain(t, listener))
			}
			listener.Close()
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept = %v, want net.ErrClosed", err)
			}
			if diff := cmp.Diff(test.want, listener.Counts()); diff != "" {
				t.Errorf("Counts (-want +got):\n%s", diff)
			}
		})
	}
}

// A listener that can serve nobody, or that cannot be guarded, is an error at start.
func TestListenersThatAreRefused(t *testing.T) {
	needCredentials(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("needs a loopback interface: %v", err)
	}
	defer tcp.Close()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	guarded := listenAs(t, Config{Policy: CurrentUser()})
	conn := dialPlain(t, guarded)
	for _, test := range []struct {
		name   string
		inner  net.Listener
		config Config
		wraps  error // nil for any
		says   string
	}{
		{"no policy", unix, Config{}, syscall.EINVAL, "the Config has no Policy: set one such as CurrentUser(), or Nobody() to deny every peer"},
		{"nil", nil, Config{Policy: everybody()}, syscall.EINVAL, "the listener is nil"},
		{"a nil listener", (*net.UnixListener)(nil), Config{Policy: everybody()}, syscall.EINVAL, "the listener is a nil *net.UnixListener: check the error"},
		{"a nil listener, descriptors", (*unwrapping)(nil), Config{Policy: everybody(), ReceiveDescriptors: true}, syscall.EINVAL, "the listener is a nil *guard.unwrapping"},
		{"TCP", tcp, Config{Policy: everybody()}, nil, "only available for Unix sockets, got TCP"},
		{"TCP, descriptors", tcp, Config{Policy: everybody(), ReceiveDescriptors: true}, nil, "only available for Unix sockets, got TCP"},
		{"TCP within", unwrapping{tcp}, Config{Policy: everybody()}, nil, "only available for Unix sockets, got TCP"},
		{"a connection", connected{conn}, Config{Policy: everybody()}, syscall.EINVAL, "does not listen"},
		{"hides its socket", struct{ net.Listener }{unix}, Config{Policy: everybody()}, errors.ErrUnsupported, "give it a SyscallConn method, or a NetListener or Unwrap method"},
		{"keeps its socket to itself", secretive{&script{}}, Config{Policy: everybody()}, errors.ErrUnsupported, "or set ReceiveDescriptors"},
		{"wraps itself", endlessListener{}, Config{Policy: everybody()}, errors.ErrUnsupported, "give it a SyscallConn method"},
		{"a mode", unix, Config{Policy: everybody(), Mode: 0o600}, syscall.EINVAL, "the socket file that Listen makes"},
		{"an owner", unix, Config{Policy: everybody(), Owner: "0"}, syscall.EINVAL, "the socket file that Listen makes"},
		{"a group", unix, Config{Policy: everybody(), Group: "0"}, syscall.EINVAL, "the socket file that Listen makes"},
		{"a shared directory", unix, Config{Policy: everybody(), AllowSharedDirectory: true}, syscall.EINVAL, "the socket file that Listen makes"},
	} {
		listener, err := NewListener(test.inner, test.config)
		if listener != nil || err == nil || !strings.HasPrefix(err.Error(), "guard: ") || !strings.Contains(err.Error(), test.says) || test.wraps != nil && !errors.Is(err, test.wraps) {
			t.Errorf("%s: %v, %v, want %v and %q", test.name, listener, err, test.wraps, test.says)
		}
		if _, notUnix := errors.AsType[*peercred.ErrNotUnixSocket](err); notUnix != strings.HasPrefix(test.name, "TCP") {
			t.Errorf("%s: %v, is it *ErrNotUnixSocket: %v", test.name, err, notUnix)
		}
	}
	if listener, err := Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "s"), Config{}); listener != nil || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "no Policy") {
		t.Errorf("Listen without a policy = %v, %v, want EINVAL", listener, err)
	}
	for _, inner := range []net.Listener{unwrapping{unix}, netListener{unwrapping{unix}}, struct{ *net.UnixListener }{unix.(*net.UnixListener)}} {
		listener := newGuarded(t, inner, Config{Policy: everybody()})
		raw, err := listener.SyscallConn()
		if err != nil || raw == nil {
			t.Errorf("%T: SyscallConn = %v, %v", inner, raw, err)
		}
	}
}

type unwrapping struct{ net.Listener }

func (u unwrapping) Unwrap() net.Listener { return u.Listener }

type netListener struct{ net.Listener }

func (n netListener) NetListener() net.Listener { return n.Listener }

type endlessListener struct{ net.Listener }

func (e endlessListener) Unwrap() net.Listener { return e }

// connected is a listener that has a connection's descriptor.
type connected struct{ *net.UnixConn }

func (connected) Accept() (net.Conn, error) { return nil, io.EOF }
func (c connected) Addr() net.Addr          { return c.LocalAddr() }

// script is a listener whose Accept returns the given results, and then io.EOF.
type script struct {
	net.Listener
	answers []scripted
	closed  int
}

type scripted struct {
	conn net.Conn
	err  error
}

func (s *script) Accept() (net.Conn, error) {
	if len(s.answers) == 0 {
		return nil, io.EOF
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer.conn, answer.err
}

func (s *script) Close() error { s.closed++; return io.ErrClosedPipe }

func (*script) Addr() net.Addr { return &net.UnixAddr{Name: "script", Net: "unix"} }

// deniedUnless is the error of a rule that denies unless ok.
func deniedUnless(ok bool) error {
	if !ok {
		return errors.New("not now")
	}
	return nil
}

// guardScript admits everybody that inner accepts, which has no socket.
func guardScript(t testing.TB, inner net.Listener) *Listener {
	t.Helper()
	return newGuarded(t, inner, Config{Policy: everybody(), ReceiveDescriptors: true})
}

// A nil connection, and one whose methods panic, are denied.
func TestOddConnections(t *testing.T) {
	listener := guardScript(t, &script{answers: []scripted{{}, {conn: (*net.UnixConn)(nil)}, {conn: wrapper{}}, {conn: panicking{}}}})
	if conn, err := listener.Accept(); conn != nil || err != io.EOF {
		t.Errorf("Accept = %v, %v, want nil and io.EOF", conn, err)
	}
	if got := listener.Counts().Failed; got != 4 {
		t.Errorf("%d failed, want 4", got)
	}
}

// A listener that gives no access to its descriptor is guarded if peers may send descriptors.
func TestListenerWithoutADescriptor(t *testing.T) {
	for _, inner := range []net.Listener{secretive{&script{answers: []scripted{{}}}}, &script{answers: []scripted{{}}}} {
		listener := guardScript(t, inner)
		if _, err := listener.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%T: SyscallConn: %v, want ErrUnsupported", inner, err)
		}
		if _, err := listener.File(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%T: File: %v, want ErrUnsupported", inner, err)
		}
		listener.SetUnlinkOnClose(true) // does nothing
		if conn, err := listener.Accept(); conn != nil || err != io.EOF || listener.Counts().Failed != 1 {
			t.Errorf("%T: Accept = %v, %v, want that the peer is denied, and then io.EOF", inner, conn, err)
		}
	}
}

// secretive gives no access to its descriptor.
type secretive struct{ *script }

func (secretive) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// panicking has a NetConn that panics.
type panicking struct{ wrapper }

func (panicking) NetConn() net.Conn { panic("out of order") }

// A slow hook does not delay peers. Denials that it is too slow for are counted.
func TestSlowHook(t *testing.T) {
	const maxWaiting = 1024 // as Config.OnDeny says
	const flood = maxWaiting + 100
	began, proceed := make(chan struct{}, 1), make(chan struct{})
	reported := make(chan struct{}, flood)
	var admit atomic.Bool
	listener := listenAs(t, Config{
		Policy: Func("when it is time", func(Peer) error { return deniedUnless(admit.Load()) }),
		OnDeny: func(*Denied) {
			select {
			case began <- struct{}{}:
			default:
			}
			<-proceed
			reported <- struct{}{}
		},
	})
	accepted := make(chan error)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = conn.Close()
		}
		accepted <- err
	}()
	for n := range flood {
		client := dialPlain(t, listener)
		isClosed(t, client)
		client.Close()
		if n == 0 {
			<-began // and is at it from now on
		}
	}
	admit.Store(true)
	dialPlain(t, listener)
	if err := <-accepted; err != nil {
		t.Errorf("the admitted peer: %v", err)
	}
	close(proceed)
	for range maxWaiting + 1 {
		<-reported
	}
	want := Counts{Accepted: 1, Denied: map[string]uint64{"when it is time": flood}, Unreported: flood - maxWaiting - 1}
	if diff := cmp.Diff(want, listener.Counts()); diff != "" {
		t.Errorf("Counts (-want +got):\n%s", diff)
	}
}

// A hook that panics, or ends its goroutine, is called again for the next denial.
func TestHookThatDoesNotReturn(t *testing.T) {
	for name, leave := range map[string]func(){
		"panics":             func() { panic("out of order") },
		"ends its goroutine": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			text := logged(t)
			synctest.Test(t, func(t *testing.T) { // which ends when the reporter has
				calls := make(chan *Denied)
				r := newReporter(func(d *Denied) { calls <- d; leave() })
				for n := range 3 {
					want := &Denied{Rule: strings.Repeat("x", n)}
					if !r.report(want) {
						t.Fatal("not taken")
					}
					if got := <-calls; got != want {
						t.Errorf("the hook gets %v, want %v", got, want)
					}
				}
			})
			if got, want := strings.Count(text.String(), "OnDeny panicked"), map[string]int{"panics": 3}[name]; got != want {
				t.Errorf("%d panics are in the log, want %d", got, want)
			}
		})
	}
}

// The panic of a hook is logged. After the last denial the reporter has no goroutine.
func TestHooksInTheLog(t *testing.T) {
	for _, test := range []struct {
		name string
		hook func(*Denied)
		want string
	}{
		{"quiet", func(*Denied) {}, ""},
		{"panics", func(*Denied) { panic("out of order") }, `level=ERROR msg="guard: OnDeny panicked" panic="out of order" denied.peer=<nil> denied.rule=r denied.failed=false` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := logged(t)
			synctest.Test(t, func(t *testing.T) {
				r := newReporter(test.hook)
				r.report(&Denied{Rule: "r"})
				synctest.Wait() // for a goroutine that goes on and on, for ever
			})
			if diff := cmp.Diff(test.want, text.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Without OnDeny some denials are logged. The number of those left out is logged with a
// denial in a later second, and at the end.
func TestLogWithoutAHook(t *testing.T) {
	const maxLogged = 5 // as Config.OnDeny says
	needCredentials(t)
	text := logged(t)
	synctest.Test(t, func(t *testing.T) {
		flood := func(n int) *script { return &script{answers: make([]scripted, n)} }
		inner := flood(maxLogged + 3)
		listener, err := NewListener(inner, Config{Policy: everybody(), ReceiveDescriptors: true})
		if err != nil {
			t.Fatal(err)
		}
		listener.Accept()
		synctest.Wait()
		time.Sleep(time.Second)
		inner.answers = flood(maxLogged + 7).answers
		listener.Accept()
		synctest.Wait()
		listener.Close()
		synctest.Wait()
	})
	one := `level=WARN msg="peer denied" denied.peer=<nil> denied.rule="a known peer" denied.failed=true denied.reason="failed to get peer credentials: the connection is nil"` + "\n"
	more := func(n int) string {
		return fmt.Sprintf("level=WARN msg=\"peers denied, too many to log each\" count=%d\n", n)
	}
	want := strings.Repeat(one, maxLogged) + more(3) + strings.Repeat(one, maxLogged) + more(7)
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// If there are fewer denials, all are logged, and Close adds nothing.
func TestLogOfFew(t *testing.T) {
	const maxLogged = 5
	needCredentials(t)
	text := logged(t)
	synctest.Test(t, func(t *testing.T) {
		listener, err := NewListener(&script{answers: make([]scripted, maxLogged)}, Config{Policy: everybody(), ReceiveDescriptors: true})
		if err != nil {
			t.Fatal(err)
		}
		listener.Accept()
		listener.Close()
		synctest.Wait()
	})
	if got := strings.Count(text.String(), "\n"); got != maxLogged {
		t.Errorf("%d lines, want %d:\n%s", got, maxLogged, text)
	}
}

// logged returns what goes to slog until the test ends, without the time.
func logged(t *testing.T) *strings.Builder {
	text := new(strings.Builder)
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	slog.SetDefault(slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
	return text
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

func TestCounts(t *testing.T) {
	const maxRules = 256 // as Counts.Denied says
	var n atomic.Uint32
	rules := Func("a rule for each peer", func(p Peer) error {
		if n := n.Add(1); n <= maxRules+50 {
			return PIDs(-int32(n)).Allow(p)
		}
		return PIDs(-1).Allow(p)
	})
	listener := listenAs(t, Config{Policy: rules, OnDeny: func(*Denied) {}})
	go listener.Accept()
	for range maxRules + 51 {
		isClosed(t, dialPlain(t, listener))
	}
	got := listener.Counts()
	if len(got.Denied) != maxRules+1 || got.Denied["pid -1"] != 2 || got.Denied["others"] != 50 || got.Failed != 0 {
		t.Errorf("%d rules, pid -1 %d, others %d, failed %d", len(got.Denied), got.Denied["pid -1"], got.Denied["others"], got.Failed)
	}
	text, err := json.Marshal(Counts{Accepted: 1, Denied: map[string]uint64{"uid 0": 2}, Failed: 3, Limited: 6, Unreported: 4, Retried: 5})
	if want := `{"accepted":1,"denied":{"uid 0":2},"failed":3,"limited":6,"unreported":4,"retried":5}`; string(text) != want || err != nil {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	if text, err := json.Marshal(newGuarded(t, &script{}, Config{Policy: Nobody(), ReceiveDescriptors: true}).Counts()); !strings.Contains(string(text), `"denied":{}`) {
		t.Errorf("%s, %v", text, err)
	}
}
