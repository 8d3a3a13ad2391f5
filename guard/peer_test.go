package guard

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
)

// Facts in Prefetch are asked for at once. The handle is closed with the connection.
func TestFacts(t *testing.T) {
	support := peercred.Support()
	for _, ask := range []Prefetch{0, PrefetchGroups | PrefetchSecurityLabel | PrefetchProcess} {
		listener := listenAs(t, Config{Policy: everybody(), Prefetch: ask})
		client := dialPlain(t, listener)
		conn := acceptPeer(t, listener)
		peer := conn.Peer()
		if asked := peer.conn.facts.Load() != nil; asked != (ask != 0) {
			t.Errorf("asked at once: %v, want %v", asked, ask != 0)
		}
		want, wantErr := peercred.GetPeerGroups(conn)
		for range 2 {
			got, err := peer.Groups()
			if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
				t.Errorf("Groups: %v (-want +got):\n%s", err, diff)
			}
		}
		if label, err := peer.SecurityLabel(); (err == nil) != support.SecurityLabel.Available || (label != "") != (err == nil) {
			t.Errorf("SecurityLabel = %q, %v", label, err)
		}
		process, err := peer.Process()
		if (err == nil) != support.Process.Available || (process == nil) != (err != nil) {
			t.Fatalf("Process = %v, %v", process, err)
		}
		if again, _ := peer.Process(); again != process {
			t.Error("a second handle was opened")
		}
		client.Close()
		conn.Close()
		if process == nil {
			continue
		}
		if _, err := process.Alive(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("the handle of a closed connection: %v, want os.ErrClosed", err)
		}
	}
}

// Each fact in Prefetch is asked for at once, and is available after the connection ended.
func TestFactsAreAskedForAtOnce(t *testing.T) {
	facts := map[Prefetch]func(Peer) error{
		PrefetchGroups:        func(p Peer) error { _, err := p.Groups(); return err },
		PrefetchSecurityLabel: func(p Peer) error { _, err := p.SecurityLabel(); return err },
		PrefetchProcess:       func(p Peer) error { _, err := p.Process(); return err },
	}
	for wanted := range facts {
		listener := listenAs(t, Config{Policy: everybody(), Prefetch: wanted})
		dialPlain(t, listener)
		conn := acceptPeer(t, listener)
		conn.Close()
		for fact, of := range facts {
			err := of(conn.Peer()) // net.ErrClosed, or what the kernel said in time
			if known := !errors.Is(err, net.ErrClosed); known != (fact == wanted) {
				t.Errorf("wanted %b: fact %b, after the end: %v", wanted, fact, err)
			}
		}
	}
}

// The kernel is asked only for the facts that the policy requires if the peer is denied.
func TestDeniedPeersAreNotAskedAbout(t *testing.T) {
	for _, limited := range []bool{false, true} {
		var came []Peer
		policy := Func("the first, if any is limited", func(p Peer) error {
			came = append(came, p)
			return deniedUnless(limited)
		})
		reports := make(chan *Denied, 1)
		listener := listenAs(t, Config{Policy: policy, MaxConns: 1, Prefetch: PrefetchGroups | PrefetchSecurityLabel | PrefetchProcess, OnDeny: func(d *Denied) { reports <- d }})
		if limited {
			dialPlain(t, listener)
			acceptPeer(t, listener)
		}
		dialPlain(t, listener)
		done := make(chan error)
		go func() { _, err := listener.Accept(); done <- err }()
		<-reports
		listener.Close()
		<-done
		refused := came[len(came)-1]
		if got := refused.conn.facts.Load(); got != closedFacts {
			t.Errorf("limited %v: a denied peer was asked about: %v", limited, got)
		}
	}
}

// A fact that was not asked for while the connection was open is an error afterwards.
func TestFactsOfAClosedConnection(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	dialPlain(t, listener)
	conn := acceptPeer(t, listener)
	conn.Close()
	conn.Close()
	peer := conn.Peer()
	if _, err := peer.Groups(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Groups: %v, want net.ErrClosed", err)
	}
	if _, err := peer.SecurityLabel(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SecurityLabel: %v, want net.ErrClosed", err)
	}
	if process, err := peer.Process(); process != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Process = %v, %v, want net.ErrClosed", process, err)
	}
	if err := CurrentUser().Allow(peer); err != nil {
		t.Errorf("its ids are known still: %v", err)
	}
}

// Close runs at the same time as every question about a peer.
func TestConnCloseRaces(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	for range 200 {
		client := dialPlain(t, listener)
		conn := acceptPeer(t, listener)
		var running sync.WaitGroup
		begin := make(chan struct{})
		for _, method := range []func(){
			func() { conn.Close() },
			func() { conn.Peer().Groups() },
			func() { conn.Peer().SecurityLabel() },
			func() {
				if process, err := conn.Peer().Process(); (process == nil) == (err == nil) {
					t.Errorf("Process = %v, %v", process, err)
				}
			},
			func() { conn.Peer().Process() },
			func() { conn.Peer().Credentials() },
		} {
			running.Go(func() {
				<-begin
				method()
			})
		}
		close(begin)
		running.Wait()
		client.Close()
	}
}
