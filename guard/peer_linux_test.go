package guard

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"example.com/peercred"
)

// closingConn runs a function as it is closed.
type closingConn struct {
	*net.UnixConn
	during func()
}

func (c *closingConn) Close() error {
	c.during()
	return c.UnixConn.Close()
}

func unixPair(t *testing.T) *net.UnixConn {
	t.Helper()
	listener, err := net.Listen("unix", abstract())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client := dialPlain(t, listener)
	t.Cleanup(func() { client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// Once Close has begun, no handle is opened, because nothing would close it.
func TestHandleAskedForDuringClose(t *testing.T) {
	for name, before := range map[string]func(Peer){
		"no fact is known": func(Peer) {},
		"a fact is known":  func(p Peer) { p.Groups() },
	} {
		t.Run(name, func(t *testing.T) {
			inner := &closingConn{UnixConn: unixPair(t)}
			conn, err := Admit(inner, CurrentUser())
			if err != nil {
				t.Fatal(err)
			}
			before(conn.Peer())
			asked := false
			inner.during = func() {
				asked = true
				_, groups := conn.Peer().Groups()
				_, label := conn.Peer().SecurityLabel()
				if name == "no fact is known" && !(errors.Is(groups, net.ErrClosed) && errors.Is(label, net.ErrClosed)) {
					t.Errorf("Groups and SecurityLabel during Close: %v, %v, want net.ErrClosed", groups, label)
				}
				if process, err := conn.Peer().Process(); process != nil || !errors.Is(err, net.ErrClosed) {
					t.Errorf("Process during Close: %v, %v, want net.ErrClosed", process, err)
				}
			}
			conn.Close()
			if !asked {
				t.Error("the inner connection was not closed")
			}
		})
	}
}

// Close also closes a handle that is being opened when Close begins.
func TestHandleOpenedDuringClose(t *testing.T) {
	if process := peercred.Support().Process; !process.Available {
		t.Skip("needs a handle on the peer's process: ", process.Reason)
	}
	conn, err := Admit(unixPair(t), CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	begun, opened, closed := make(chan struct{}), make(chan *peercred.PeerProcess, 1), make(chan struct{})
	go func() {
		process, err := conn.known().process.of(conn.Conn, func(inner net.Conn) (*peercred.PeerProcess, error) {
			process, err := peercred.OpenPeerProcess(inner)
			close(begun)
			waitInOrAfter(closed, ".settle(")
			return process, err
		})
		if err != nil {
			t.Error(err)
		}
		opened <- process
	}()
	<-begun
	conn.Close()
	close(closed)
	if alive, err := (<-opened).Alive(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Alive of the handle after Close: %v, %v, want os.ErrClosed", alive, err)
	}
}

// waitInOrAfter returns when another goroutine is in a function, or after is closed.
func waitInOrAfter(after <-chan struct{}, function string) {
	stacks := make([]byte, 1<<20)
	for {
		select {
		case <-after:
			return
		default:
		}
		if strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), function) {
			return
		}
		runtime.Gosched()
	}
}
