package guard

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Dial says what is wrong with an address. Package net only calls it invalid.
func TestDialRefusesAddresses(t *testing.T) {
	for _, test := range []struct {
		network, address string
		as               error
		text             string
	}{
		{"unixgram", "/s", net.UnknownNetworkError("unixgram"), `dial unixgram /s: unknown network unixgram: it must be "unix", "unixpacket", "tcp", "tcp4" or "tcp6"`},
		{"", "/s", net.UnknownNetworkError(""), `dial /s: unknown network : it must be "unix", "unixpacket", "tcp", "tcp4" or "tcp6"`},
		{"unix", "/s\x00/t", syscall.EINVAL, `the address "/s\x00/t" has a NUL byte: invalid argument`},
		{"unix", "\x00s", syscall.EINVAL, `the address "\x00s" has a NUL byte: invalid argument`},
		{"unix", "", nil, "dial unix: missing address"},
	} {
		conn, err := Dial(t.Context(), test.network, test.address, everybody())
		_, ok := errors.AsType[*net.OpError](err)
		if conn != nil || !ok || test.as != nil && !errors.Is(err, test.as) || !strings.HasSuffix(err.Error(), test.text) {
			t.Errorf("Dial(%q, %q) = %v, %v, want %v that ends with %q", test.network, test.address, conn, err, test.as, test.text)
		}
	}
}

// The longest addresses reach the kernel, which finds no socket there. The error for longer
// ones says how long they may be.
func TestDialTooLong(t *testing.T) {
	if maxPath > 1<<16 {
		t.Skip("the limit of this system is not known")
	}
	for name, prefix := range map[string]string{"path": filepath.Join(t.TempDir(), "s"), "name": "@peercred-guard-nobody-"} {
		longest := maxPath
		if isAbstract(prefix) {
			longest++
		}
		fits := prefix + strings.Repeat("x", longest-len(prefix))
		_, err := Dial(t.Context(), "unix", fits, everybody())
		if err == nil || errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), ": connect: ") {
			t.Errorf("%s of %d bytes: %v, want an error of connect(2)", name, len(fits), err)
		}
		_, err = Dial(t.Context(), "unix", fits+"x", everybody())
		if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "has at most ") || !strings.Contains(err.Error(), "use a shorter one") {
			t.Errorf("%s of %d bytes: %v, want EINVAL and the limit", name, len(fits)+1, err)
		}
	}
}

// Admit takes connections from elsewhere. It does not ask again about one that wraps a *Conn.
func TestAdmit(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	client := dialPlain(t, listener)
	conn := acceptPeer(t, listener)

	admitted, err := Admit(client, CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	if got := admitted.Peer().Credentials(); got == nil || got.UID != uint32(os.Geteuid()) {
		t.Errorf("the server is %v", got)
	}
	again, err := Admit(wrapper{conn}, everybody())
	if err != nil {
		t.Fatal(err)
	}
	if again.Peer() != conn.Peer() {
		t.Error("the peer of a wrapped *Conn is another")
	}
	type embedding struct{ *Conn }
	again, err = Admit(embedding{conn}, everybody())
	if err != nil {
		t.Fatal(err)
	}
	if peer, ok := FromContext(ConnContext(t.Context(), embedding{conn})); again.Peer() != conn.Peer() || peer != conn.Peer() || !ok {
		t.Error("the peer of an embedded *Conn is another")
	}
	if got, err := Admit(embedding{}, everybody()); got != nil || !isDenied(err) {
		t.Errorf("of an embedded nil: %v, %v, want *Denied", got, err)
	}
	if got, err := Admit(wrapper{conn}, UIDs()); got != nil || !isDenied(err) {
		t.Errorf("Admit = %v, %v, want *Denied", got, err)
	}
	isClosed(t, client) // the denial closed it
	if got, err := Admit(nil, everybody()); got != nil || !isDenied(err) {
		t.Errorf("of nil: %v, %v, want *Denied", got, err)
	}
	if got, err := Admit((*Conn)(nil), everybody()); got != nil || !isDenied(err) {
		t.Errorf("of a nil *Conn: %v, %v, want *Denied", got, err)
	}
	if got, err := Admit(endless{}, everybody()); got != nil || !isDenied(err) {
		t.Errorf("of one that wraps itself: %v, %v, want *Denied", got, err)
	}
	if got, err := Admit(&Conn{Conn: client}, everybody()); got != nil || !isDenied(err) {
		t.Errorf("of a *Conn that nobody admitted: %v, %v, want *Denied", got, err)
	}
}

// wrapper hides all of a connection but NetConn.
type wrapper struct{ inner net.Conn }

func (w wrapper) NetConn() net.Conn                { return w.inner }
func (w wrapper) Read(b []byte) (int, error)       { return w.inner.Read(b) }
func (w wrapper) Write(b []byte) (int, error)      { return w.inner.Write(b) }
func (w wrapper) Close() error                     { return w.inner.Close() }
func (w wrapper) LocalAddr() net.Addr              { return w.inner.LocalAddr() }
func (w wrapper) RemoteAddr() net.Addr             { return w.inner.RemoteAddr() }
func (w wrapper) SetDeadline(d time.Time) error    { return w.inner.SetDeadline(d) }
func (w wrapper) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (w wrapper) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// endless wraps itself.
type endless struct{ wrapper }

func (e endless) NetConn() net.Conn { return e }

// The socket is that of the connection or listener within.
func TestSocketWithin(t *testing.T) {
	conn, listener := new(net.UnixConn), new(net.UnixListener)
	for name, test := range map[string]struct {
		outer any
		want  syscall.Conn
	}{
		"a connection":          {conn, conn},
		"one wrapped":           {wrapper{wrapper{conn}}, conn},
		"a listener":            {listener, listener},
		"one wrapped two ways":  {netListener{unwrapping{listener}}, listener},
		"nothing":               {nil, nil},
		"one that wraps itself": {endless{}, nil},
		"one that panics":       {panicking{}, nil},
	} {
		if got := socketWithin(test.outer); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestCloseWriteOfWhatHasNone(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	client := dialPlain(t, listener)
	conn, err := Admit(wrapper{client}, everybody())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite = %v, want errors.ErrUnsupported", err)
	}
}

func TestDial(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so Dial denies the server")
	}
	address := listener.Addr().String()
	conn, err := Dial(t.Context(), "unix", address, CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.Peer().Credentials(); got.UID != uint32(os.Geteuid()) {
		t.Errorf("the server is %v", got)
	}
	server := acceptPeer(t, listener)
	if got := server.Peer().Credentials(); got.UID != uint32(os.Geteuid()) {
		t.Errorf("the client is %v", got)
	}

	other := UIDs(uint32(os.Geteuid()) + 1)
	got, err := Dial(t.Context(), "unix", address, other)
	denied, ok := errors.AsType[*Denied](err)
	if got != nil || !ok || denied.Rule != other.String() || !strings.HasPrefix(err.Error(), "dial unix "+address+": peer denied") {
		t.Errorf("Dial = %v, %v, want *Denied by %v", got, err, other)
	}
	isClosed(t, acceptPeer(t, listener)) // and nothing was sent

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx              context.Context
		network, address string
		text             string
	}{
		{t.Context(), "unix", address + "x", "no such file"},
		{t.Context(), "unixgram", address, "unknown network unixgram"},
		{t.Context(), "", address, "unknown network"},
		{cancelled, "unix", address, "canceled"},
	} {
		if conn, err := Dial(test.ctx, test.network, test.address, everybody()); conn != nil || err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("Dial(%q, %q) = %v, %v, want an error that says %q", test.network, test.address, conn, err, test.text)
		}
	}
}

// embedded is a connection of a foreign type.
type embedded struct{ *net.UnixConn }

// waysToAdmit are the ways to pass one connection to [Admit].
var waysToAdmit = map[string]func(testing.TB, *net.UnixConn) net.Conn{
	"a Unix connection": func(_ testing.TB, c *net.UnixConn) net.Conn { return c },
	"one embedded":      func(_ testing.TB, c *net.UnixConn) net.Conn { return embedded{c} },
	"one wrapped":       func(_ testing.TB, c *net.UnixConn) net.Conn { return wrapper{wrapper{c}} },
	"a *Conn": func(t testing.TB, c *net.UnixConn) net.Conn {
		conn, err := Admit(c, everybody())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	},
}

// Admit closes a denied connection, so the caller's own Close does not wait.
func TestCloseAfterDenial(t *testing.T) {
	needCredentials(t)
	for name, way := range waysToAdmit {
		t.Run(name, func(t *testing.T) {
			inner := plainOrGuarded(t, false)
			defer inner.Close()
			client := dialPlain(t, inner)
			socket, err := inner.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn := way(t, socket.(*net.UnixConn))
			if _, err := Admit(conn, UIDs()); !isDenied(err) {
				t.Errorf("Admit = %v, want *Denied", err)
			}
			if err := socket.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is open when Admit returns: %v", err)
			}
			if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("to close it again: %v, want net.ErrClosed", err)
			}
			isClosed(t, client)
		})
	}
}
