package guard

import (
	"errors"
	"net"
	"testing"
	"time"
)

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
func TestCloseAfterRefusal(t *testing.T) {
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
