package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// welcome serves whom listener lets in, until it is closed.
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
	needRoot(t)
	root, alice, bob := role{}, role{}, role{}
	for r, ids := range map[*role][2]uint32{&root: {0, 0}, &alice: {4242, 2424}, &bob: {4243, 2424}} {
		r.Do, r.UID, r.GID = "connect", &ids[0], &ids[1]
	}
	alice.Groups = []int{27, 100_000}
	newgrp := alice // of whom newgrp(1) has made the third group the effective one
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
			}{{test.letsIn, "welcome"}, {test.refuses, "refused"}} {
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

// Whatever has become of a peer when it is read, or only then accepted, it is who it was
// as it connected, and decided on as such.
func TestPeerThatChanged(t *testing.T) {
	needRoot(t)
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
				t.Errorf("%v: %v, and that is who it was", lost, err)
			}
			if err := gained.Allow(peer); !isDenied(err) {
				t.Errorf("%v: %v, and that is who it is now", gained, err)
			}
		})
	}
}

// The server of Dial is whoever listens.
func TestDialOtherUsers(t *testing.T) {
	needRoot(t)
	uid, gid, address := uint32(4242), uint32(2424), abstract()
	server := reexec.Start(t, role{Do: "serve", Address: address, UID: &uid, GID: &gid})
	server.Expect("listening")
	conn, err := Dial(t.Context(), "unix", address, UIDs(uid))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := &peercred.PeerCredentials{PID: server.PID(), UID: uid, GID: gid}
	if diff := cmp.Diff(want, conn.Peer().Credentials()); diff != "" {
		t.Errorf("the server (-want +got):\n%s", diff)
	}
	if conn, err := Dial(t.Context(), "unix", address, CurrentUser()); conn != nil || !isDenied(err) {
		t.Errorf("Dial = %v, %v, want *Denied: root is not there", conn, err)
	}
	server.Finish()
}

// The socket file never exists otherwise than asked for, under any name that others
// can reach: another process, under another user if we may, looks and tries to get in
// all the time, while a thousand listeners come and go.
func TestSocketFileIsWatched(t *testing.T) {
	const rounds = 1000
	dir := openDirectory(t)
	withUmask(t, 0)
	path := filepath.Join(dir, "s")
	config := Config{Policy: Nobody(), Mode: 0o640}
	watcher := role{Do: "watch", Address: path}
	ours := fmt.Sprintf("%d %d", os.Geteuid(), os.Getegid())
	want, ofGroup := "0140640 "+ours, ours
	if os.Geteuid() == 0 {
		uid := uint32(65534)
		watcher.UID, watcher.GID = &uid, &uid
		config.Owner, config.Group = "4242", "2424"
		want, ofGroup = "0140640 4242 2424", "0 2424"
	}
	watching := reexec.Start(t, watcher)
	watching.Expect("watching")
	var saw sight
	// On a busy machine it can take more rounds until the watcher comes to look.
	for began := time.Now(); saw.Files[want] == 0 && time.Since(began) < patience; {
		for range rounds {
			listener, err := Listen(t.Context(), "unix", path, config)
			if err != nil {
				t.Fatal(err)
			}
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
		}
		watching.Proceed()
		watching.Decode(&saw)
	}
	watching.Finish()
	if saw.Files[want] == 0 {
		t.Errorf("the watcher never saw the socket in %d looks, so it proves nothing: %v", saw.Looks, saw.Files)
	}
	for _, expected := range []string{want, "0140600 " + ours, "0140600 " + ofGroup, "0140640 " + ofGroup} {
		delete(saw.Files, expected)
	}
	if len(saw.Files) > 0 {
		t.Errorf("it was there otherwise than as %q, or narrower before it listens: %v", want, saw.Files)
	}
	if os.Geteuid() == 0 && saw.Passed > 0 {
		t.Errorf("it let in another user %d times", saw.Passed)
	}
	assertEmpty(t, dir)
}

// Files that others make meanwhile have the modes that the umask leaves them.
func TestUmaskIsLeftAlone(t *testing.T) {
	dir, others := t.TempDir(), t.TempDir()
	withUmask(t, 0o002)
	var enough atomic.Bool
	var maker sync.WaitGroup
	maker.Go(func() {
		for n := 0; !enough.Load(); n++ {
			path := filepath.Join(others, strconv.Itoa(n))
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Error(err)
				return
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != 0o664 {
				t.Errorf("a file has the mode %v, %v, want 0664", info.Mode(), err)
				return
			}
			os.Remove(path)
		}
	})
	for range 200 {
		listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "s"), Config{Policy: Nobody()})
		if err != nil {
			t.Error(err)
			break
		}
		listener.Close()
	}
	enough.Store(true)
	maker.Wait()
}

// Owner and group are given by name or number.
func TestSocketFileOwner(t *testing.T) {
	needRoot(t)
	for _, test := range []struct{ owner, group, want string }{
		{"", "", "0 0"}, {"4242", "", "4242 0"}, {"", "2424", "0 2424"}, {"daemon", "daemon", "1 1"}, {"root", "root", "0 0"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Owner: test.owner, Group: test.group})
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %d", stat.Uid, stat.Gid); got != test.want {
			t.Errorf("owner %q, group %q: %s, want %s", test.owner, test.group, got, test.want)
		}
		listener.Close()
	}
}

// If we may not give the socket file away, we leave no file behind.
func TestOwnerThatWeMayNotGive(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Run("under another user", func(t *testing.T) { runAs(t, 4242, "^TestOwnerThatWeMayNotGive$") })
		return
	}
	dir := t.TempDir()
	listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "s"), Config{Policy: Nobody(), Owner: "0"})
	if listener != nil || !errors.Is(err, unix.EPERM) {
		t.Errorf("Listen = %v, %v, want EPERM", listener, err)
	}
	assertEmpty(t, dir)
}

// A live socket that we may not connect to is no stale one.
func TestSocketThatMayNotBeProbed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Run("under another user", func(t *testing.T) { runAs(t, 4242, "^TestSocketThatMayNotBeProbed$") })
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	live := place(t, path, serve)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody()})
	if listener != nil || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("Listen = %v, %v, want EADDRINUSE", listener, err)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(live, now) || now.Mode() != os.ModeSocket {
		t.Errorf("it was replaced, or has another mode: %v", err)
	}
}

func TestAbstractNames(t *testing.T) {
	name := abstract()
	for _, config := range []Config{{Policy: Nobody(), Mode: 0o600}, {Policy: Nobody(), Owner: "0"}, {Policy: Nobody(), Group: "0"}} {
		if listener, err := Listen(t.Context(), "unix", name, config); listener != nil || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "abstract") {
			t.Errorf("%+v: %v, %v, want EINVAL and why", config, listener, err)
		}
	}
	listener, err := Listen(t.Context(), "unix", name, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	welcome(t, listener)
	if said, err := io.ReadAll(dialPlain(t, listener)); string(said) != "welcome" || err != nil {
		t.Errorf("it says %q, %v", said, err)
	}
	_, err = Listen(t.Context(), "unix", name, Config{Policy: Nobody()})
	want := "listen unix " + name + ": bind: address already in use: another process has this name: stop it, or use another name"
	if !errors.Is(err, unix.EADDRINUSE) || err.Error() != want {
		t.Errorf("a second listener: %v, want %s", err, want)
	}
}

func TestSeqpacket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(t.Context(), "unixpacket", path, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := Dial(t.Context(), "unixpacket", path, CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := acceptPeer(t, listener).Peer().Credentials(); got.PID != int32(os.Getpid()) {
		t.Errorf("the peer is %v", got)
	}
}

// The id that stands for all who are not mapped is let in nowhere, and where all are
// mapped it is nobody's.
func TestOverflowIDs(t *testing.T) {
	needRoot(t)
	needUserNamespaces(t)
	for _, test := range []struct {
		name    string
		where   []reexec.Option
		allowed uint32 // by the server
		says    string
	}{
		{"we are mapped", []reexec.Option{inUserNamespace(7, 0)}, 7, "let in"},
		{"we are not mapped", []reexec.Option{inUserNamespace(0, 54321)}, 65534, "uid 65534 stands for every uid that our user namespace does not map"},
		{"we are not mapped and not listed", []reexec.Option{inUserNamespace(0, 54321)}, 0, `by the rule "uid 0"`},
		{"all are mapped", nil, 0, "let in"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := abstract()
			server := reexec.Start(t, role{Do: "serve in a namespace", Address: address, Rule: test.allowed}, test.where...)
			server.Expect("listening")
			conn, err := net.Dial("unix", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var said string
			server.Decode(&said)
			server.Finish()
			if !strings.Contains(said, test.says) {
				t.Errorf("the server says %q, want %q", said, test.says)
			}
		})
	}
	// Here nobody's id is nobody's.
	uid := uint32(65534)
	inner, err := net.Listen("unix", abstract())
	if err != nil {
		t.Fatal(err)
	}
	welcome(t, newGuarded(t, inner, Config{Policy: AllOf(UIDs(uid), GIDs(uid))}))
	peer := reexec.Start(t, role{Do: "connect", Address: inner.Addr().String(), UID: &uid, GID: &uid})
	peer.Expect("welcome")
	peer.Finish()
}

func needUserNamespaces(t *testing.T) {
	t.Helper()
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || string(n) == "0\n" {
		t.Skipf("needs user namespaces: /proc/sys/user/max_user_namespaces is %q, %v", n, err)
	}
}

// A directory of somebody whom we cannot tell from ourselves is not ours.
func TestDirectoryOfOverflowID(t *testing.T) {
	needRoot(t)
	needUserNamespaces(t)
	for _, test := range []struct {
		name  string
		where reexec.Option
		says  string
	}{
		{"we are mapped", inUserNamespace(0, 0), ""},
		{"nobody is mapped", func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER} }, "/ belongs to uid 65534"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got forgedEntry
			reexec.Start(t, role{Do: "listen", Network: "unix", Address: filepath.Join(openDirectory(t), "s")}, test.where).Decode(&got)
			if (got.Err == "") != (test.says == "") || !strings.Contains(got.Err, test.says) {
				t.Errorf("%q, want %q", got.Err, test.says)
			}
		})
	}
}

func TestMapsAll(t *testing.T) {
	for text, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"0 0 1000\n1000 5000 4294966295\n":   true,
		"0 1000 1\n":                         false,
		"0 100000 65536\n":                   false,
		"":                                   false,
		"0 0\n":                              false,
		"0 0 many\n":                         false,
		"0 0 4294967296\n":                   false,
		"0 0 4294967294\n":                   false,
		"0 0 4294967295\n4294967295 4294967295 1\n":      false,
		"0 0 4294967295 and more\n":                      false,
		"0 0 2147483648\n2147483648 1000 2147483647\n":   true,
		"0 0 2147483648\n2147483648 1000 2147483646\n\n": false,
	} {
		if got := mapsAll(text); got != want {
			t.Errorf("mapsAll(%q) = %v", text, got)
		}
	}
	for _, test := range []struct {
		ids, overflow string
		want          int64
	}{
		{"0 0 4294967295\n", "65534\n", none},
		{"0 1000 1\n", "65533\n", 65533},
		{"0 1000 1\n", "many\n", defaultOverflowID},
		{"0 1000 1\n", "", defaultOverflowID},
		{"", "", defaultOverflowID},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"map": test.ids, "overflow": test.overflow} {
			if text == "" {
				continue // no file
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := overflowID(filepath.Join(dir, "map"), filepath.Join(dir, "overflow")); got != test.want {
			t.Errorf("overflowID of %q and %q = %d, want %d", test.ids, test.overflow, got, test.want)
		}
	}
}

// Each of the rules about ids refuses the one that stands for many.
func TestOverflowIDsAreRefused(t *testing.T) {
	defer func(saved func() overflowIDs) { overflow = saved }(overflow)
	overflow = func() overflowIDs { return overflowIDs{uid: 65534, gid: 65533} }
	peer := func(uid, gid uint32, groups ...uint32) Peer {
		return peerWith(peercred.PeerCredentials{UID: uid, GID: gid}, groups, "")
	}
	for _, test := range []struct {
		name   string
		policy Policy
		peer   Peer
		failed bool // else it is let in
	}{
		{"uid", UIDs(65534), peer(65534, 1), true},
		{"uid of a name", uidPolicy("user nobody(65534)", []uint32{65534}), peer(65534, 1), true},
		{"another uid", UIDs(65534, 5), peer(5, 1), false},
		{"the gid's is no uid's", UIDs(65533), peer(65533, 1), false},
		{"gid", GIDs(65533), peer(1, 65533), true},
		{"effective group", Groups(65533), peer(1, 65533), true},
		{"supplementary group", Groups(65533), peer(1, 1, 65533), true},
		{"and another group that is right", Groups(65533, 7), peer(1, 65533, 65533, 7), false},
		{"which comes first", Groups(65533, 7), peer(1, 1, 7, 65533), false},
		{"and another group that is not listed", Groups(65533), peer(1, 1, 65533, 9), true},
	} {
		err := test.policy.Allow(test.peer)
		if got := verdictOf(t, err); got.failed != test.failed || (err == nil) == test.failed {
			t.Errorf("%s: %v, want a failure: %v", test.name, err, test.failed)
		}
	}
}

// A peer of whom a listener has no descriptor left to hear waits, and is served
// when there is one.
func TestDescriptorsRunOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	const peers = 5
	server := reexec.Start(t, role{Do: "run out", Address: path, Count: peers})
	server.Expect("listening")
	var conns []net.Conn
	for range peers {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	server.Proceed()
	for _, conn := range conns {
		if said, err := io.ReadAll(conn); string(said) != "welcome" || err != nil {
			t.Errorf("a peer read %q, %v", said, err)
		}
	}
	server.Expect("outlived 5")
	server.Finish()
}

// hostile is what a peer does, and what can be read of it after.
var hostile = []struct {
	name string
	do   func(*net.UnixConn) error
	said string
}{
	{"closed", (*net.UnixConn).Close, ""},
	{"never speaks", func(*net.UnixConn) error { return nil }, ""},
	{"shut down for writing", (*net.UnixConn).CloseWrite, ""},
	{"shut down for reading", (*net.UnixConn).CloseRead, ""},
	{"spoke, and is gone", func(c *net.UnixConn) error {
		_, err := io.WriteString(c, "a secret word")
		return errors.Join(err, c.Close())
	}, "a secret word"},
}

// Peers that are gone before they are accepted, that never speak, and that shut down
// half are let in like any other, and nothing of them is left.
func TestHostilePeersThatAreLetIn(t *testing.T) {
	listener := listenAs(t, Config{Policy: CurrentUser(), Prefetch: PrefetchGroups | PrefetchSecurityLabel | PrefetchProcess})
	before := descriptors(t)
	for _, test := range hostile {
		client := dialPlain(t, listener)
		if err := test.do(client); err != nil {
			t.Fatal(err)
		}
		conn := acceptPeer(t, listener)
		if got := conn.Peer().Credentials(); got.PID != int32(os.Getpid()) {
			t.Errorf("%s: the peer is %v", test.name, got)
		}
		client.Close()
		if said, err := io.ReadAll(conn); string(said) != test.said || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: it said %q, %v", test.name, said, err)
		}
		conn.Close()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

// So they are refused.
func TestHostilePeersThatAreRefused(t *testing.T) {
	reports := make(chan *Denied)
	listener := listenAs(t, Config{Policy: UIDs(), Prefetch: PrefetchGroups | PrefetchSecurityLabel | PrefetchProcess, OnDeny: func(d *Denied) { reports <- d }})
	done := make(chan error)
	before := descriptors(t)
	go func() { _, err := listener.Accept(); done <- err }()
	for _, test := range hostile {
		client := dialPlain(t, listener)
		err := test.do(client)
		if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ENOTCONN) { // it may be refused by now
			t.Fatal(err)
		}
		if d := <-reports; d.Failed || d.Credentials.PID != int32(os.Getpid()) {
			t.Errorf("%s: %v", test.name, d)
		}
		client.Close()
	}
	listener.closer.wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
	listener.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

// connectAndSend connects a client, and has it send a descriptor.
func connectAndSend(t *testing.T, address net.Addr, descriptor int) (client int, sent error) {
	t.Helper()
	client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(client) })
	if err := unix.Connect(client, &unix.SockaddrUnix{Name: address.String()}); err != nil {
		t.Fatal(err)
	}
	return client, unix.Sendmsg(client, []byte{0}, unix.UnixRights(descriptor), nil, 0)
}

// A server cannot make a client linger either.
func TestDialRefusesDescriptors(t *testing.T) {
	fd := needPassRights(t)
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: abstract(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	client, err := Dial(t.Context(), "unix", inner.Addr().String(), CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := inner.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, _, err := server.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("to send a descriptor to the client: %v, want EPERM", err)
	}
}

// needPassRights returns a descriptor that can be sent, on a kernel that can be told to
// refuse it.
func needPassRights(t *testing.T) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1); err != nil {
		t.Skipf("needs SO_PASSRIGHTS, of Linux 6.16: %v", err)
	}
	return fd
}

// On a kernel that can, a peer cannot even send what it could linger with, unless that
// is wanted.
func TestDescriptorsAreRefused(t *testing.T) {
	fd := needPassRights(t)
	for _, test := range []struct {
		address string
		listen  func(address string, config Config) (*Listener, error)
	}{
		{filepath.Join(t.TempDir(), "s"), listenForUs}, {abstract(), listenForUs}, {abstract(), guardForUs},
	} {
		for _, receive := range []bool{false, true} {
			listener, err := test.listen(test.address, Config{Policy: CurrentUser(), ReceiveDescriptors: receive})
			if err != nil {
				t.Fatal(err)
			}
			client, early := connectAndSend(t, listener.Addr(), fd)
			conn := acceptPeer(t, listener)
			late := unix.Sendmsg(client, []byte{0}, unix.UnixRights(fd), nil, 0)
			for when, sent := range map[string]error{"before": early, "after": late} {
				if want := map[bool]error{false: unix.EPERM, true: nil}[receive]; sent != want {
					t.Errorf("%s, wanted %v: to send a descriptor %s it was accepted: %v, want %v", test.address, receive, when, sent, want)
				}
			}
			if want := !receive; listener.quick.Load() != want {
				t.Errorf("%s, wanted %v: a close is taken for quick: %v, want %v", test.address, receive, listener.quick.Load(), want)
			}
			conn.Close()
			listener.Close()
		}
	}
}

func listenForUs(address string, config Config) (*Listener, error) {
	return Listen(context.Background(), "unix", address, config)
}

// guardForUs guards a listener of package net.
func guardForUs(address string, config Config) (*Listener, error) {
	inner, err := net.Listen("unix", address)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, config)
}

// A link that is another's, or that leads through another's directory, can be led
// elsewhere by them.
func TestLinksOfOthers(t *testing.T) {
	needRoot(t)
	base, err := filepath.EvalSymlinks(openDirectory(t)) // whose links would count
	if err != nil {
		t.Fatal(err)
	}
	mine, eve, shared := filepath.Join(base, "mine"), filepath.Join(base, "eve"), filepath.Join(base, "shared")
	for _, dir := range []string{mine, eve, shared} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{filepath.Join(mine, "0"): "."}
	for n := range maxLinks {
		links[filepath.Join(mine, strconv.Itoa(n+1))] = strconv.Itoa(n)
	}
	maps.Copy(links, map[string]string{
		filepath.Join(shared, "eves"): mine, filepath.Join(shared, "ours"): mine,
		filepath.Join(eve, "hop"): mine, filepath.Join(base, "through"): filepath.Join(eve, "hop"),
		filepath.Join(base, "loop"): "loop", filepath.Join(base, "relative"): "mine/../mine/.",
	})
	for link, target := range links {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(shared, 0o777|os.ModeSticky), os.Chown(eve, 4242, 4242),
		os.Lchown(filepath.Join(eve, "hop"), 4242, 4242), os.Lchown(filepath.Join(shared, "eves"), 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		mine: "", filepath.Join(shared, "ours"): "", filepath.Join(base, "relative"): "",
		filepath.Join(shared, "eves"):  "belongs to uid 4242",
		filepath.Join(base, "through"): "belongs to uid 4242",
		filepath.Join(eve, "hop"):      "belongs to uid 4242",
		eve + "/../mine":               "belongs to uid 4242",
		eve + "/hop/../mine":           "belongs to uid 4242",
		filepath.Join(base, "loop"):    "too many levels",

		filepath.Join(mine, strconv.Itoa(maxLinks-1)): "", // links, and "0"
		filepath.Join(mine, strconv.Itoa(maxLinks)):   "too many levels",
	} {
		listener, err := Listen(t.Context(), "unix", path+"/s", Config{Policy: Nobody()})
		if err == nil {
			listener.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// The socket is of our own group unless another was asked for, also where the
// directory has another for its files.
func TestGroupOfTheDirectory(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, 0, 4242), os.Chmod(dir, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Mode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil || stat.Gid != uint32(os.Getegid()) || stat.Mode != unix.S_IFSOCK|0o660 {
		t.Errorf("gid %d, mode %#o, %v, want gid %d and mode 0660", stat.Gid, stat.Mode, err, os.Getegid())
	}
}

// The socket has no access control list, also where the directory has one for its
// files: a mode of 0660 would let in whoever is in that.
func TestACLOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	list := []byte{2, 0, 0, 0} // the version; then tag, permissions and id of each entry
	for _, entry := range [][3]uint32{{1, 7, 1<<32 - 1}, {2, 7, 4242}, {4, 5, 1<<32 - 1}, {0x10, 7, 1<<32 - 1}, {0x20, 5, 1<<32 - 1}} {
		list = binary.LittleEndian.AppendUint16(list, uint16(entry[0]))
		list = binary.LittleEndian.AppendUint16(list, uint16(entry[1]))
		list = binary.LittleEndian.AppendUint32(list, entry[2])
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", list, 0); err != nil {
		t.Skipf("needs a file system with access control lists: %v", err)
	}
	path := filepath.Join(dir, "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Mode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if size, err := unix.Lgetxattr(path, "system.posix_acl_access", nil); err != unix.ENODATA {
		t.Errorf("the socket has an access control list: %d bytes, %v", size, err)
	}
}

// A socket that cannot be told to refuse descriptors is an error, unless no socket of
// this kernel can.
func TestDescriptorsThatCannotBeRefused(t *testing.T) {
	if err := refuseDescriptors("", "", noDescriptor{}); !errors.Is(err, unix.EBADF) {
		t.Errorf("refuseDescriptors of no descriptor = %v, want EBADF", err)
	}
	if descriptorsAreRefused(unasked{}) {
		t.Error("descriptors are refused, says a kernel that could not be asked")
	}
}

// unasked has a socket that the kernel cannot be asked about.
type unasked struct{}

func (unasked) SyscallConn() (syscall.RawConn, error) { return noDescriptor{}, nil }

// noDescriptor hands out what no descriptor is.
type noDescriptor struct{ syscall.RawConn }

func (noDescriptor) Control(f func(uintptr)) error { f(1<<31 - 1); return nil }

// A name is that of the user database, and not what the environment says of us.
func TestUserOfTheEnvironment(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Setenv("USER", "daemon")
		t.Run("under another user", func(t *testing.T) { runAs(t, 55555, "^TestUserOfTheEnvironment$") })
		return
	}
	policy, err := Users("daemon")
	if want := "user daemon(1)"; err != nil || policy.String() != want {
		t.Errorf("%v, %v, want %s", policy, err, want)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
