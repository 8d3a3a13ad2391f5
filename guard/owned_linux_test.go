package guard

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The duplicate keeps whoever closes the connection from waiting for the peer.
func TestDuplicateWaitsForThePeer(t *testing.T) {
	inner, err := net.Listen("unix", abstract())
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	fd, end := lingering(t)
	if _, err := connectAndSend(t, inner.Addr(), fd); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd) // the last but one
	conn, err := inner.Accept()
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		_, err := Admit(conn, UIDs())
		conn.Close()
		closed <- err
	}()
	select {
	case err := <-closed:
		if !errors.Is(err, ErrDenied) {
			t.Errorf("Admit = %v, want ErrDenied", err)
		}
	case <-time.After(patience):
		t.Error("Admit or Close waits for the peer")
	}
	if len(elsewhere.slots) == 0 {
		t.Error("the duplicate was closed before the peer let go of it")
	}
	end()
	elsewhere.wait()
}

// spent is a connection for whose duplicate there is no descriptor.
type spent struct{ *net.UnixConn }

func (spent) File() (*os.File, error) {
	return nil, &net.OpError{Op: "file", Net: "unix", Err: os.NewSyscallError("fcntl", syscall.EMFILE)}
}

// careless is a connection whose methods panic.
type careless struct{ *net.UnixConn }

func (careless) NetConn() net.Conn       { panic("a mistake") }
func (careless) File() (*os.File, error) { panic("another") }
func (c careless) Close() error          { c.UnixConn.Close(); panic("a third") }

// A refused connection that cannot be duplicated is closed all the same.
func TestRefusedWithoutDuplicate(t *testing.T) {
	for name, foreign := range map[string]func(*net.UnixConn) net.Conn{
		"no descriptor":          func(c *net.UnixConn) net.Conn { return spent{c} },
		"no descriptor, wrapped": func(c *net.UnixConn) net.Conn { return wrapper{spent{c}} },
		"panics":                 func(c *net.UnixConn) net.Conn { return careless{c} },
		"panics, wrapped":        func(c *net.UnixConn) net.Conn { return wrapper{careless{c}} },
	} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("unix", abstract())
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			client := dialPlain(t, inner)
			socket, err := inner.Accept()
			if err != nil {
				t.Fatal(err)
			}
			before := descriptors(t)
			if _, err := Admit(foreign(socket.(*net.UnixConn)), UIDs()); !errors.Is(err, ErrDenied) {
				t.Errorf("Admit = %v, want ErrDenied", err)
			}
			if err := socket.SetDeadline(time.Time{}); strings.HasPrefix(name, "no descriptor") && !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is not closed when Admit returns: %v", err)
			}
			isClosed(t, client)
			elsewhere.wait()
			if after := descriptors(t); after >= before {
				t.Errorf("%d descriptors are open, and %d were with the connection", after, before)
			}
		})
	}
}
