package guard

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// embedded is a connection of a foreign type.
type embedded struct{ *net.UnixConn }

// waysToAdmit are what a caller can hand to [Admit], of one connection.
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

// A refused peer keeps nobody waiting who closes the connection again.
func TestCloseAfterRefusal(t *testing.T) {
	for name, way := range waysToAdmit {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("unix", abstract())
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			fd, end := lingering(t)
			t.Cleanup(end)
			if _, err := connectAndSend(t, inner.Addr(), fd); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd) // the last but one
			socket, err := inner.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn := way(t, socket.(*net.UnixConn))
			if _, err := Admit(conn, UIDs()); !errors.Is(err, ErrDenied) {
				t.Errorf("Admit = %v, want ErrDenied", err)
			}
			if err := socket.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is not closed when Admit returns: %v", err)
			}
			closed := make(chan error, 1)
			go func() { closed <- conn.Close() }()
			select {
			case err := <-closed:
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("to close it again: %v, want net.ErrClosed", err)
				}
			case <-time.After(patience):
				t.Error("to close it again waits for the peer")
			}
		})
	}
}
