package guard

import (
	stdcmp "cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

func init() {
	roles["connect"] = helperConnect
	roles["connect and change"] = helperConnectAndChange
}

// helperConnect connects Count times, one after the other, and reports what it read each
// time. The server sends "welcome" to peers that it admits.
func helperConnect(r role) error {
	for range max(1, r.Count) {
		conn, err := net.Dial(stdcmp.Or(r.Network, "unix"), r.Address)
		if err != nil {
			return err
		}
		said, err := io.ReadAll(conn)
		conn.Close()
		switch {
		case string(said) == "welcome":
			fmt.Println("welcome")
		case len(said) == 0 && (err == nil || errors.Is(err, syscall.ECONNRESET)):
			fmt.Println("denied")
		default:
			return fmt.Errorf("read %q, %v", said, err)
		}
	}
	return nil
}

// helperConnectAndChange connects, and then takes other ids.
func helperConnectAndChange(r role) error {
	conn, err := net.Dial("unix", r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	uid, gid := uint32(4243), uint32(3434)
	if err := reexec.TakeIDs(&uid, &gid, []int{28}); err != nil {
		return err
	}
	reexec.Step("changed")
	return nil
}

// CurrentUser compares the uid. Here no group of ours has that number.
func TestCurrentUserIsNoGroup(t *testing.T) {
	if asOrdinaryUser(t) {
		return
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	for _, test := range []struct {
		uid, gid uint32
		allowed  bool
	}{{uid, gid, true}, {uid, 0, true}, {gid, uid, false}, {gid, gid, false}} {
		peer := peerWith(peercred.PeerCredentials{PID: 1, UID: test.uid, GID: test.gid}, nil, "")
		if err := CurrentUser().Allow(peer); (err == nil) != test.allowed {
			t.Errorf("we are %d:%d: uid %d, gid %d: %v, want to be admitted: %v", uid, gid, test.uid, test.gid, err, test.allowed)
		}
	}
}

// welcome serves the peers that listener admits, until it is closed.
func welcome(t testing.TB, listener *Listener) {
	t.Helper()
	done := make(chan error)
	go func() {
		for {
			conn, err := listener.AcceptPeer()
			if err != nil {
				done <- err
				return
			}
			if _, err := io.WriteString(conn, "welcome"); err != nil {
				t.Error(err)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
}

// Real peers under real ids, against each policy.
func TestPoliciesOnRealPeers(t *testing.T) {
	reexec.NeedRoot(t)
	root, alice, bob := role{}, role{}, role{}
	for r, ids := range map[*role][2]uint32{&root: {0, 0}, &alice: {4242, 2424}, &bob: {4243, 2424}} {
		r.Do, r.UID, r.GID = "connect", &ids[0], &ids[1]
	}
	alice.Groups = []int{27, 100_000}
	newgrp := alice // whose third group newgrp(1) has made the effective one
	other := uint32(100_000)
	newgrp.GID, newgrp.Groups = &other, []int{27, 2424}
	for _, test := range []struct {
		policy  Policy
		letsIn  []*role
		refuses []*role
	}{
		{CurrentUser(), []*role{&root}, []*role{&alice, &bob, &newgrp}},
		{UIDs(4242), []*role{&alice, &newgrp}, []*role{&root, &bob}},
		{GIDs(2424), []*role{&alice, &bob}, []*role{&root, &newgrp}},
		{Groups(2424), []*role{&alice, &bob, &newgrp}, []*role{&root}},
		{Groups(27, 1), []*role{&alice, &newgrp}, []*role{&root, &bob}},
		{AllOf(UIDs(4242), GIDs(2424)), []*role{&alice}, []*role{&root, &bob, &newgrp}},
		{AnyOf(UIDs(0), Groups(27)), []*role{&root, &alice, &newgrp}, []*role{&bob}},
		{Nobody(), nil, []*role{&root, &alice, &bob, &newgrp}},
	} {
		t.Run(test.policy.String(), func(t *testing.T) {
			inner, err := net.Listen("unix", abstract())
			if err != nil {
				t.Fatal(err)
			}
			listener := newGuarded(t, inner, Config{Policy: test.policy})
			welcome(t, listener)
			for _, side := range []struct {
				peers []*role
				says  string
			}{{test.letsIn, "welcome"}, {test.refuses, "denied"}} {
				for _, r := range side.peers {
					r.Address = inner.Addr().String()
					peer := reexec.Start(t, *r)
					peer.Expect(side.says)
					peer.Finish()
				}
			}
		})
	}
}

// A policy decides on the ids as of connect time, whatever the peer has done before it is
// accepted or read from.
func TestPeerThatChanged(t *testing.T) {
	reexec.NeedRoot(t)
	uid, gid := uint32(0), uint32(2424)
	lost, gained := AllOf(UIDs(0), GIDs(2424), Groups(27)), AnyOf(UIDs(4243), GIDs(3434), Groups(28))
	for _, test := range []struct {
		name           string
		accepted, dies bool
	}{
		{"its ids, before it is accepted", false, false},
		{"its ids, before it is read", true, false},
		{"and died, before it is accepted", false, true},
		{"and died, before it is read", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner, err := net.Listen("unix", abstract())
			if err != nil {
				t.Fatal(err)
			}
			listener := newGuarded(t, inner, Config{Policy: everybody()})
			defer listener.Close()
			process := reexec.Start(t, role{Do: "connect and change", Address: inner.Addr().String(), UID: &uid, GID: &gid, Groups: []int{27}})
			var conn *Conn
			if test.accepted {
				conn = acceptPeer(t, listener)
			}
			process.Expect("changed")
			if test.dies {
				process.Finish()
			}
			if !test.accepted {
				conn = acceptPeer(t, listener)
			}
			peer := conn.Peer()
			if diff := cmp.Diff(&peercred.PeerCredentials{PID: process.PID(), UID: uid, GID: gid}, peer.Credentials()); diff != "" {
				t.Errorf("the peer (-want +got):\n%s", diff)
			}
			groups, err := peer.Groups()
			if diff := cmp.Diff([]uint32{27}, groups); diff != "" {
				t.Errorf("its groups: %v (-want +got):\n%s", err, diff)
			}
			if err := lost.Allow(peer); err != nil {
				t.Errorf("%v: %v, and it had these ids at connect time", lost, err)
			}
			if err := gained.Allow(peer); !isDenied(err) {
				t.Errorf("%v: %v, and it has these ids only now", gained, err)
			}
		})
	}
}
