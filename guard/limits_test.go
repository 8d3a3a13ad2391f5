package guard

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultLimits(t *testing.T) {
	for _, test := range []struct {
		config          Config
		descriptors     int
		most, mostOfUID int
	}{
		{Config{}, 64, 32, 16},
		{Config{}, 1 << 20, 1 << 19, 1 << 18},
		{Config{}, math.MaxInt32, math.MaxInt32 / 2, math.MaxInt32 / 4},
		{Config{}, 1, 1, 1},
		{Config{}, 0, 1, 1},
		{Config{Prefetch: PrefetchGroups | PrefetchSecurityLabel}, 64, 32, 16},
		{Config{Prefetch: PrefetchProcess}, 64, 16, 8},
		{Config{CloseOnExit: true}, 64, 16, 8},
		{Config{MaxConns: 7}, 64, 7, 3},
		{Config{MaxConns: 1}, 64, 1, 1},
		{Config{MaxConns: -1}, 64, -1, 16},
		{Config{MaxConnsPerUID: 7}, 64, 32, 7},
		{Config{MaxConnsPerUID: -1}, 64, 32, -1},
		{Config{MaxConnsPerUID: 70, MaxConns: 71}, 64, 71, 70},
	} {
		got := test.config.limits(test.descriptors)
		if got.most != test.most || got.mostOfUID != test.mostOfUID {
			t.Errorf("%+v of %d descriptors: %d and %d of a uid, want %d and %d", test.config, test.descriptors, got.most, got.mostOfUID, test.most, test.mostOfUID)
		}
	}
}

func TestLimits(t *testing.T) {
	const ofUID, inAll = "at most 2 connections of a uid", "at most 3 connections"
	l := Config{MaxConnsPerUID: 2, MaxConns: 3}.limits(64)
	for n, step := range []struct {
		uid    uint32
		leaves bool
		rule   string
	}{
		{uid: 1}, {uid: 1}, {uid: 1, rule: ofUID}, {uid: 2}, {uid: 2, rule: inAll}, {uid: 1, rule: ofUID}, {uid: 3, rule: inAll},
		{uid: 1, leaves: true}, {uid: 3}, {uid: 1, rule: inAll}, {uid: 3, leaves: true}, {uid: 1}, {uid: 1, rule: ofUID},
		{uid: 2, leaves: true}, {uid: 1, leaves: true}, {uid: 1, leaves: true},
	} {
		if step.leaves {
			l.leave(step.uid)
			continue
		}
		if rule, ok := l.enter(step.uid); rule != step.rule || ok != (rule == "") {
			t.Errorf("step %d, uid %d: %q, %v, want %q", n, step.uid, rule, ok, step.rule)
		}
	}
	if l.open != 0 || len(l.ofUID) != 0 {
		t.Errorf("when all have left, %d are open, of %v", l.open, l.ofUID)
	}
	l = Config{MaxConnsPerUID: -1, MaxConns: -1}.limits(64)
	for range 1000 {
		if rule, ok := l.enter(1); !ok {
			t.Fatalf("without limits: %q", rule)
		}
	}
}

// The connection of a peer over a limit is closed, counted and reported. Each connection
// frees its slot once, however often and in whatever way it is closed. Another peer then
// gets the slot.
func TestSlotsAreGivenBack(t *testing.T) {
	for name, closes := range map[string]func(*testing.T, *Conn) error{
		"closed": func(_ *testing.T, c *Conn) error { return c.Close() },
		"closed twice": func(t *testing.T, c *Conn) error {
			err := c.Close()
			if err := c.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the second Close = %v, want net.ErrClosed", err)
			}
			return err
		},
		"of TLS": func(_ *testing.T, c *Conn) error {
			_ = tls.Server(c, &tls.Config{}).Close() // no handshake, no farewell
			return nil
		},
		"admitted again": func(_ *testing.T, c *Conn) error {
			again, err := Admit(c, everybody())
			if err != nil {
				return err
			}
			return again.Close()
		},
		"admitted again and denied": func(t *testing.T, c *Conn) error {
			if _, err := Admit(c, Nobody()); !isDenied(err) {
				t.Errorf("Admit = %v, want *Denied", err)
			}
			return nil
		},
		"whose inner one panics": func(_ *testing.T, c *Conn) error {
			inner := c.Conn
			defer func() { _ = recover(); c.Conn = inner }()
			c.Conn = wrapper{} // of nil
			return c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			reports := make(chan *Denied, 1)
			listener := listenAs(t, Config{Policy: CurrentUser(), MaxConnsPerUID: 2, OnDeny: func(d *Denied) { reports <- d }})
			dialPlain(t, listener)
			acceptPeer(t, listener) // and stays
			for range 3 {
				dialPlain(t, listener)
				conn := acceptPeer(t, listener)
				tooMany := dialPlain(t, listener)
				done := make(chan *Conn)
				go func() {
					conn, err := listener.AcceptPeer()
					if err != nil {
						t.Error(err)
					}
					done <- conn
				}()
				isClosed(t, tooMany)
				d := <-reports
				if d.Rule != "at most 2 connections of a uid" || d.Failed || d.Err != nil || d.Credentials == nil {
					t.Errorf("reported: %+v", d)
				}
				if err := closes(t, conn); err != nil {
					t.Error(err)
				}
				dialPlain(t, listener)
				if conn = <-done; conn != nil {
					conn.Close()
				}
			}
			want := Counts{Accepted: 7, Denied: map[string]uint64{}, Limited: 3}
			if diff := cmp.Diff(want, listener.Counts()); diff != "" {
				t.Errorf("Counts (-want +got):\n%s", diff)
			}
		})
	}
}

// A connection that net/http has handed over has its slot until its new owner closes it.
func TestSlotOfAHijackedConnection(t *testing.T) {
	listener := listenAs(t, Config{Policy: CurrentUser(), MaxConns: 1})
	hijacked := make(chan net.Conn, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- conn
	})}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	ask := func() *net.UnixConn {
		client := dialPlain(t, listener)
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // may be denied by now
		return client
	}
	ask()
	owned := <-hijacked
	isClosed(t, ask())
	if err := owned.Close(); err != nil {
		t.Error(err)
	}
	client := ask()
	owned = <-hijacked
	if _, err := io.WriteString(owned, "served\n"); err != nil {
		t.Error(err)
	}
	if line, err := bufio.NewReader(client).ReadString('\n'); line != "served\n" {
		t.Errorf("read %q, %v", line, err)
	}
	owned.Close()
	server.Close()
	<-served
	if got := listener.Counts(); got.Limited != 1 || got.Accepted != 2 {
		t.Errorf("Counts = %+v", got)
	}
}
