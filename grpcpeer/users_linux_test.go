//go:build !android

package grpcpeer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/peercred"
	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
	"example.com/peercred/internal/reexec"
)

func TestMain(m *testing.M) { reexec.Main(m, play) }

// role is what a process of its own does, as a user and a group with this id.
type role struct {
	Do      string   // "call", "serve", "attack" or "be attacked"
	ID      uint32   // the uid and the gid
	Targets []string // to call
	Address string   // to serve at, or to attack
	Count   int      // of attempts, or of threads
}

func play(r role) error {
	if err := reexec.TakeIDs(&r.ID, &r.ID, nil); err != nil {
		return err
	}
	switch r.Do {
	case "call":
		return playClient(r.Targets)
	case "serve":
		return playServer(r.Address)
	case "attack":
		return playAttacker(r.Address, r.Count)
	case "be attacked":
		return playVictim(r.Address, r.Count)
	}
	return fmt.Errorf("unknown role %q", r.Do)
}

// playClient calls every method of every target, and reports the outcomes.
func playClient(targets []string) error {
	report := make([]map[string]outcome, len(targets))
	for i, target := range targets {
		client, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), patiently)
		if err != nil {
			return err
		}
		report[i] = callAll(context.Background(), healthgrpc.NewHealthClient(client))
		client.Close()
	}
	return reexec.Report(report)
}

// playServer serves until the test's word, and reports who called.
func playServer(address string) error {
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	s := &service{}
	server := grpc.NewServer(serverCreds(guard.UIDs(0)))
	healthgrpc.RegisterHealthServer(server, s)
	go server.Serve(listener)
	reexec.Step("serving")
	server.Stop()
	return reexec.Report(s.noted())
}

var abstractNames atomic.Int32

// abstract returns a name in the abstract namespace, which every user reaches.
func abstract() (address, target string) {
	name := "test-grpc-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(abstractNames.Add(1)))
	return "@" + name, "unix-abstract:" + name
}

func listenAbstract(t testing.TB) (net.Listener, string) {
	t.Helper()
	address, target := abstract()
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, target
}

// The three users of these tests: root, and two that nobody has.
const root, alice, bob uint32 = 0, 60001, 60002

// callers calls the targets as each of the three users. It returns the outcomes of each
// target, and the credentials of each user's process.
func callers(t testing.TB, targets []string) (outcomes map[uint32][]map[string]outcome, who map[uint32]*peercred.PeerCredentials) {
	t.Helper()
	outcomes, who = map[uint32][]map[string]outcome{}, map[uint32]*peercred.PeerCredentials{}
	for _, id := range []uint32{root, alice, bob} {
		process := reexec.Start(t, role{Do: "call", ID: id, Targets: targets})
		var report []map[string]outcome
		process.Decode(&report)
		process.Finish()
		outcomes[id], who[id] = report, &peercred.PeerCredentials{PID: process.PID(), UID: id, GID: id}
	}
	return outcomes, who
}

// Real clients under three users are admitted or denied when they connect, on plain and on
// guarded listeners.
func TestUsersAtHandshake(t *testing.T) {
	reexec.NeedRoot(t)
	const secretRule = "the secret rule"
	onlyAlice := guard.Func(secretRule, func(peer guard.Peer) error { return guard.UIDs(alice).Allow(peer) })
	plain, plainTarget := listenAbstract(t)
	inner, guardedTarget := listenAbstract(t)
	var told denials
	services := []*service{
		serve(t, plain, serverCreds(onlyAlice, told.hook)),
		serve(t, guarded(t, inner, onlyAlice), serverCreds(onlyAlice)),
	}
	got, who := callers(t, []string{plainTarget, guardedTarget})
	for i, s := range services {
		s.stop()
		if diff := cmp.Diff(outcomes(fine, fine, fine), got[alice][i]); diff != "" {
			t.Errorf("server %d: outcomes of the clients that it admits (-want +got):\n%s", i, diff)
		}
		for _, id := range []uint32{root, bob} {
			for method, outcome := range got[id][i] {
				if outcome.Code != codes.Unavailable {
					t.Errorf("server %d: uid %d calls %s: %v", i, id, method, outcome)
				}
				checkSilent(t, outcome.Message, secretRule, "60001", "60002")
			}
		}
		want := []call{
			{list, who[alice], credentials.PrivacyAndIntegrity},
			{check, who[alice], credentials.PrivacyAndIntegrity},
			{watch, who[alice], credentials.PrivacyAndIntegrity},
		}
		if diff := cmp.Diff(want, s.noted()); diff != "" {
			t.Errorf("server %d: calls (-want +got):\n%s", i, diff)
		}
	}
	seen := map[uint32]bool{}
	for _, denied := range told.all() {
		if diff := cmp.Diff(who[denied.Credentials.UID], denied.Credentials); diff != "" {
			t.Errorf("denied (-want +got):\n%s", diff)
		}
		seen[denied.Credentials.UID] = true
	}
	if diff := cmp.Diff(map[uint32]bool{root: true, bob: true}, seen); diff != "" {
		t.Errorf("onDeny was told of (-want +got):\n%s", diff)
	}
}

// Real clients under three users are all admitted when they connect. Each call is then
// decided by its method.
func TestUsersPerMethod(t *testing.T) {
	reexec.NeedRoot(t)
	ids := guard.UIDs
	tests := []struct {
		name  string
		rules grpcpeer.Rules
		want  map[uint32]map[string]outcome
	}{
		{"no rule", nil, map[uint32]map[string]outcome{
			root:  outcomes(refused, refused, refused),
			alice: outcomes(refused, refused, refused),
			bob:   outcomes(refused, refused, refused),
		}},
		{"methods", grpcpeer.Rules{check: ids(alice), watch: ids(bob)}, map[uint32]map[string]outcome{
			root:  outcomes(refused, refused, refused),
			alice: outcomes(fine, refused, refused),
			bob:   outcomes(refused, refused, fine),
		}},
		{"method, then service", grpcpeer.Rules{check: ids(alice), all: ids(bob)}, map[uint32]map[string]outcome{
			root:  outcomes(refused, refused, refused),
			alice: outcomes(fine, refused, refused),
			bob:   outcomes(refused, fine, fine),
		}},
		{"stream, then service, then all", grpcpeer.Rules{watch: ids(alice), all: ids(alice, bob), "/": ids(root)}, map[uint32]map[string]outcome{
			root:  outcomes(refused, refused, refused),
			alice: outcomes(fine, fine, fine),
			bob:   outcomes(fine, fine, refused),
		}},
		{"all", grpcpeer.Rules{list: ids(root), "/": ids(root, bob)}, map[uint32]map[string]outcome{
			root:  outcomes(fine, fine, fine),
			alice: outcomes(refused, refused, refused),
			bob:   outcomes(fine, refused, fine),
		}},
	}
	var targets []string
	var services []*service
	for _, test := range tests {
		listener, target := listenAbstract(t)
		targets = append(targets, target)
		services = append(services, serve(t, listener, append(grpcpeer.Require(test.rules), serverCreds(ids(root, alice, bob)))...))
	}
	got, who := callers(t, targets)
	for i, test := range tests {
		handled := map[uint32]map[string]outcome{root: outcomes(refused, refused, refused), alice: outcomes(refused, refused, refused), bob: outcomes(refused, refused, refused)}
		for _, call := range services[i].noted() {
			handled[call.Peer.UID][call.Method] = fine
			if diff := cmp.Diff(who[call.Peer.UID], call.Peer); diff != "" {
				t.Errorf("%s: the caller of %s (-want +got):\n%s", test.name, call.Method, diff)
			}
		}
		for id, want := range test.want {
			if diff := cmp.Diff(want, got[id][i]); diff != "" {
				t.Errorf("%s: outcomes of uid %d (-want +got):\n%s", test.name, id, diff)
			}
			if diff := cmp.Diff(want, handled[id]); diff != "" {
				t.Errorf("%s: handled of uid %d (-want +got):\n%s", test.name, id, diff)
			}
		}
	}
}

// A server runs as another user. The client admits it or denies it.
func TestClientChoosesServer(t *testing.T) {
	reexec.NeedRoot(t)
	address, target := abstract()
	process := reexec.Start(t, role{Do: "serve", ID: alice, Address: address})
	process.Expect("serving")
	server := &peercred.PeerCredentials{PID: process.PID(), UID: alice, GID: alice}

	for name, policy := range map[string]guard.Policy{"bob": guard.UIDs(bob), "root": guard.UIDs(root), "nobody": {}} {
		var told denials
		got := callCheck(t.Context(), dial(t, target, grpcpeer.NewClientCredentials(policy, told.hook)))
		if got.Code != codes.Unavailable {
			t.Errorf("a call for %s: %v", name, got)
		}
		if all := told.all(); len(all) == 0 {
			t.Errorf("a call for %s: onDeny got nothing", name)
		} else if diff := cmp.Diff(&guard.Denied{Credentials: server, Rule: policy.String()}, all[0]); diff != "" {
			t.Errorf("a call for %s: denied (-want +got):\n%s", name, diff)
		}
	}
	var told denials
	if got := callCheck(t.Context(), dial(t, target, grpcpeer.NewClientCredentials(guard.UIDs(alice), told.hook))); got != fine || len(told.all()) > 0 {
		t.Errorf("a call for alice: %v, denied: %v", got, told.all())
	}

	process.Proceed()
	var calls []call
	process.Decode(&calls)
	process.Finish()
	if diff := cmp.Diff([]call{{check, self(), credentials.PrivacyAndIntegrity}}, calls); diff != "" {
		t.Errorf("calls that the server had (-want +got):\n%s", diff)
	}
}

// Peers that come and go, admitted or denied, leave no descriptor. A handle on a process that
// a policy opened is closed too.
func TestNoDescriptorIsLeft(t *testing.T) {
	const visits = 100
	asked := make(chan int, visits)
	policy := guard.Func("every other", func() func(guard.Peer) error {
		var peers atomic.Int32
		return func(peer guard.Peer) error {
			peer.Process() // an older kernel has none, and then there is nothing to leave
			n := peers.Add(1)
			asked <- int(n)
			if n%2 == 0 {
				return nil
			}
			return errors.New("refused")
		}
	}())
	listener, target := listen(t)
	before := descriptors(t)
	s := serve(t, listener, serverCreds(policy))
	for range visits {
		conn, err := net.Dial("unix", strings.TrimPrefix(target, "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		<-asked
		conn.Close()
	}
	s.stop() // the listener is closed then, too
	// guard closes the denied peers' connections in its own goroutines.
	after := descriptors(t)
	for began := time.Now(); after >= before && time.Since(began) < patience; after = descriptors(t) {
		runtime.Gosched()
	}
	if after >= before {
		t.Errorf("%d descriptors after, %d before, the listener's among them", after, before)
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
