//go:build !plan9

package peercred_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// netConn wraps by NetConn and hides the rest.
type netConn struct {
	net.Conn
	inner net.Conn
}

func (c netConn) NetConn() net.Conn { return c.inner }

// itself is a wrapper that wraps itself.
type itself struct{ net.Conn }

func (c *itself) NetConn() net.Conn { return c }

// hidden is a conn that shows only its address.
type hidden struct {
	net.Conn
	address net.Addr
}

func (c hidden) LocalAddr() net.Addr { return c.address }

// foreign is a syscall.Conn and net.Conn with the behaviour in its fields.
type foreign struct {
	net.Conn
	raw syscall.RawConn
	err error
}

func (c foreign) SyscallConn() (syscall.RawConn, error) { return c.raw, c.err }

// control is a RawConn with nothing but Control.
type control func(func(fd uintptr)) error

func (c control) Control(f func(fd uintptr)) error { return c(f) }
func (control) Read(func(fd uintptr) bool) error   { return io.EOF }
func (control) Write(func(fd uintptr) bool) error  { return io.EOF }

func nest(conn net.Conn, depth int) net.Conn {
	for range depth {
		conn = netConn{inner: conn}
	}
	return conn
}

func TestWrappersOfAUnixConn(t *testing.T) {
	skipUnlessTold(t)
	server, _ := connect(t)
	want, err := peercred.GetPeerCredentials(server)
	if err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]net.Conn{
		"tls.Conn":                tls.Server(server, &tls.Config{}),
		"tls.Conn in tls.Conn":    tls.Server(tls.Server(server, &tls.Config{}), &tls.Config{}),
		"NetConn, as deep as may": nest(server, 15),
		"embedding":               struct{ *net.UnixConn }{server},
		"embedding in NetConn":    nest(struct{ *net.UnixConn }{server}, 1),
	} {
		got, err := peercred.GetPeerCredentials(conn)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Anything that is not a connection to a peer is an error of the right kind. It never
// panics and never has credentials.
func TestNothingToAsk(t *testing.T) {
	skipUnlessTold(t)
	server, _ := connect(t)
	closed, _ := connect(t)
	closed.Close()
	tcp := dialTCP(t)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	pipe, _ := net.Pipe()
	unixAddress := &net.UnixAddr{Name: "s", Net: "unix"}

	for _, test := range []struct {
		name string
		conn net.Conn
		want any    // the type that errors.As must find, or
		is   error  // the error that errors.Is must find, or
		text string // what the error must say
	}{
		{name: "nil", conn: nil, text: "the connection is nil"},
		{name: "nil *net.UnixConn", conn: (*net.UnixConn)(nil), text: "the connection is nil"},
		{name: "zero net.UnixConn", conn: &net.UnixConn{}, is: syscall.EINVAL},
		{name: "nil *tls.Conn", conn: (*tls.Conn)(nil), text: "panicked"},
		{name: "zero tls.Conn", conn: &tls.Conn{}, text: "the connection is nil"},
		{name: "tls.Conn around nil", conn: tls.Server(nil, &tls.Config{}), text: "the connection is nil"},
		{name: "NetConn of nil", conn: netConn{}, text: "the connection is nil"},
		{name: "NetConn of a nil *net.UnixConn", conn: nest((*net.UnixConn)(nil), 1), text: "the connection is nil"},
		{name: "embedded nil *net.UnixConn", conn: struct{ *net.UnixConn }{}, text: "failed to get peer credentials"},
		{name: "embedded nil net.Conn", conn: struct{ net.Conn }{}, text: "panicked"},
		{name: "a wrapper of itself", conn: &itself{}, text: "NetConn"},
		{name: "NetConn, too deep", conn: nest(server, 16), text: "NetConn"},
		{name: "closed", conn: closed, is: net.ErrClosed},
		{name: "NetConn of closed", conn: nest(closed, 1), is: net.ErrClosed},
		{name: "embedded closed", conn: struct{ *net.UnixConn }{closed}, is: net.ErrClosed},

		{name: "TCP", conn: tcp, want: "TCP"},
		{name: "nil *net.TCPConn", conn: (*net.TCPConn)(nil), want: "TCP"},
		{name: "tls.Conn of TCP", conn: tls.Server(tcp, &tls.Config{}), want: "TCP"},
		{name: "embedded TCP", conn: struct{ *net.TCPConn }{tcp}, want: "TCP"},
		{name: "nil *net.UDPConn", conn: (*net.UDPConn)(nil), want: "UDP"},
		{name: "UDP", conn: udp.(*net.UDPConn), want: "UDP"},
		{name: "embedded UDP", conn: struct{ *net.UDPConn }{udp.(*net.UDPConn)}, want: "UDP"},
		{name: "net.Pipe", conn: pipe, want: "unknown"},
		{name: "hidden TCP", conn: hidden{address: &net.TCPAddr{}}, want: "TCP"},
		{name: "hidden UDP", conn: hidden{address: &net.UDPAddr{}}, want: "UDP"},
		{name: "hidden Unix", conn: hidden{address: unixAddress}, want: "Unix", text: "hides its descriptor"},
		{name: "hidden, without address", conn: hidden{}, want: "unknown"},

		{name: "SyscallConn fails", conn: foreign{err: io.ErrUnexpectedEOF}, is: io.ErrUnexpectedEOF},
		{name: "SyscallConn gives nil", conn: foreign{}, text: "descriptor"},
		{name: "Control does nothing", conn: foreign{raw: control(func(func(uintptr)) error { return nil })}, text: "descriptor"},
		{name: "Control fails", conn: foreign{raw: control(func(func(uintptr)) error { return io.ErrClosedPipe })}, is: io.ErrClosedPipe},
		{name: "Control panics", conn: foreign{raw: control(func(func(uintptr)) error { panic("out of order") })}, text: "out of order"},
		{name: "Control answers, then fails", conn: foreign{raw: control(func(f func(uintptr)) error {
			raw, _ := server.SyscallConn()
			raw.Control(f)
			return io.ErrClosedPipe
		})}, is: io.ErrClosedPipe},
		{name: "Control gives no descriptor", conn: foreign{raw: control(func(f func(uintptr)) error { f(^uintptr(0)); return nil })}, is: syscall.EBADF},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := peercred.GetPeerCredentials(test.conn)
			if got != nil || err == nil {
				t.Fatalf("%v, %v, want nil and an error", got, err)
			}
			var notUnix *peercred.ErrNotUnixSocket
			isNotUnix := errors.As(err, &notUnix)
			switch {
			case test.want != nil && (!isNotUnix || notUnix.ConnType != test.want):
				t.Errorf("%v, want *ErrNotUnixSocket{%v}", err, test.want)
			case test.want == nil && isNotUnix:
				t.Errorf("%v, want another error than *ErrNotUnixSocket", err)
			case test.is != nil && !errors.Is(err, test.is):
				t.Errorf("%v, want an error that wraps %v", err, test.is)
			case !strings.Contains(err.Error(), test.text):
				t.Errorf("%v, want an error that says %q", err, test.text)
			case !isNotUnix && !strings.HasPrefix(err.Error(), "failed to get peer credentials: "):
				t.Errorf("%v does not begin with \"failed to get peer credentials: \"", err)
			}
		})
	}
}

// A panic with nil is an error, although recover returns nil.
func TestPanicWithNil(t *testing.T) {
	skipUnlessTold(t)
	t.Setenv("GODEBUG", "panicnil=1")
	var nothing any
	conn := foreign{raw: control(func(func(uintptr)) error { panic(nothing) })}
	for name, conn := range map[string]net.Conn{"Control": conn, "Control, by NetConn": nest(conn, 1), "NetConn": panicking{}} {
		if got, err := peercred.GetPeerCredentials(conn); got != nil || err == nil {
			t.Errorf("%s: %v, %v, want nil and an error", name, got, err)
		}
	}
}

// panicking is a wrapper whose NetConn panics with nil.
type panicking struct{ net.Conn }

func (panicking) NetConn() net.Conn {
	var nothing any
	panic(nothing)
}

// The answer is the same if Control runs our function twice, or again later.
func TestFirstAnswerCounts(t *testing.T) {
	skipUnlessTold(t)
	server, _ := connect(t)
	want, err := peercred.GetPeerCredentials(server)
	if err != nil {
		t.Fatal(err)
	}
	var late func(uintptr)
	raw, err := server.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	conn := foreign{raw: control(func(f func(uintptr)) error {
		late = f
		err := raw.Control(f)
		f(^uintptr(0))
		return err
	})}
	got, err := peercred.GetPeerCredentials(conn)
	late(^uintptr(0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNothingToAskOf(t *testing.T) {
	skipUnlessTold(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	closed, err := os.Open(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var notUnix *peercred.ErrNotUnixSocket
	for _, test := range []struct {
		name string
		conn syscall.Conn
		is   error
		want string
		text string
	}{
		{name: "nil", conn: nil, text: "the connection is nil"},
		{name: "nil *net.UnixConn", conn: (*net.UnixConn)(nil), text: "the connection is nil"},
		{name: "nil *os.File", conn: (*os.File)(nil), is: os.ErrInvalid},
		{name: "a zero os.File", conn: new(os.File)},
		{name: "a closed file", conn: closed, is: os.ErrClosed},
		{name: "a regular file", conn: file, want: "unknown"},
		{name: "a pipe", conn: read, want: "unknown"},
		{name: "TCP", conn: dialTCP(t), want: "TCP"},
		{name: "a listener", conn: listener.(*net.UnixListener), is: syscall.ENOTCONN},
	} {
		got, err := peercred.GetPeerCredentialsOf(test.conn)
		if got != nil || err == nil {
			t.Errorf("%s: %v, %v, want nil and an error", test.name, got, err)
			continue
		}
		if test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v, want an error that wraps %v", test.name, err, test.is)
		}
		if test.want != "" && (!errors.As(err, &notUnix) || notUnix.ConnType != test.want) {
			t.Errorf("%s: %v, want *ErrNotUnixSocket{%s}", test.name, err, test.want)
		}
		if !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want an error that says %q", test.name, err, test.text)
		}
	}
}

// network is an address with only a network.
type network string

func (n network) Network() string { return string(n) }
func (network) String() string    { return "" }

// A conn that hides its descriptor is an error, with the network that it claims.
func TestHiddenConnections(t *testing.T) {
	skipUnlessTold(t)
	for name, want := range map[network]string{
		"tcp": "TCP", "tcp4": "TCP", "tcp6": "TCP", "udp": "UDP", "udp4": "UDP", "udp6": "UDP",
		"unix": "Unix", "unixpacket": "Unix", "unixgram": "Unix", "": "unknown", "ip": "unknown",
	} {
		got, err := peercred.GetPeerCredentials(hidden{address: name})
		notUnix, ok := errors.AsType[*peercred.ErrNotUnixSocket](err)
		if got != nil || !ok || notUnix.ConnType != want {
			t.Errorf("%s: %v, %v, want *ErrNotUnixSocket{%s}", name, got, err, want)
		}
	}
}

// A question does not duplicate the descriptor, and the socket stays non-blocking, so
// deadlines still work.
func TestTrap11DescriptorUntouched(t *testing.T) {
	skipUnlessTold(t)
	server, _ := connect(t)
	for _, conn := range []net.Conn{server, struct{ *net.UnixConn }{server}} {
		if _, err := peercred.GetPeerCredentials(conn); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%T: Read after the deadline: %d, %v, want %v", conn, n, err, os.ErrDeadlineExceeded)
		}
	}
}
