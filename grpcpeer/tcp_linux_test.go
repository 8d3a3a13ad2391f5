//go:build !android

package grpcpeer_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/peer"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
	"example.com/peercred/internal/reexec"
)

// listenTCP returns a guarded listener on loopback TCP, and what a client dials.
func listenTCP(t testing.TB, policy guard.Policy) (*guard.Listener, string) {
	t.Helper()
	listener, err := guard.Listen(t.Context(), "tcp", "127.0.0.1:0", guard.Config{Policy: policy, OnDeny: func(*guard.Denied) {}})
	if err != nil && strings.Contains(err.Error(), "failed to get the loopback peer's uid") {
		t.Skipf("needs tcp_diag: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, "passthrough:///" + listener.Addr().String()
}

// dialsGuarded makes a client check who serves before anything is sent.
func dialsGuarded(policy guard.Policy) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return guard.Dial(ctx, "tcp", address, policy)
	})
}

// Both ends know the uid of the other, and have the level of credentials/local. gRPC sends
// no token that requires a secure connection.
func TestLoopbackTCP(t *testing.T) {
	everybody := guard.Func("everybody", func(guard.Peer) error { return nil })
	listener, target := listenTCP(t, everybody)
	s := serve(t, listener, serverCreds(guard.CurrentUser()))
	client := func(options ...grpc.DialOption) (outcome, peer.Peer) {
		var server peer.Peer
		c := dial(t, target, grpcpeer.NewClientCredentials(guard.CurrentUser()), append(options, dialsGuarded(everybody))...)
		return callCheck(t.Context(), c, grpc.Peer(&server)), server
	}
	got, server := client()
	if got != fine {
		t.Fatalf("call: %v", got)
	}
	info, ok := server.AuthInfo.(grpcpeer.AuthInfo)
	if !ok || info.SecurityLevel != credentials.NoSecurity || info.Peer.Credentials() != nil {
		t.Fatalf("the client's AuthInfo is %#v", server.AuthInfo)
	}
	if uid, err := info.Peer.UID(); err != nil || uid != uint32(os.Geteuid()) {
		t.Errorf("the server is %d, %v", uid, err)
	}
	if diff := cmp.Diff([]call{{check, nil, credentials.NoSecurity}}, s.noted()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if uid, err := s.peers[0].UID(); err != nil || uid != uint32(os.Geteuid()) {
		t.Errorf("the client is %d, %v", uid, err)
	}

	const insecurely = "cannot send secure credentials on an insecure connection"
	for name, creds := range map[string]credentials.TransportCredentials{
		"grpcpeer": grpcpeer.NewClientCredentials(guard.CurrentUser()), "credentials/local": local.NewCredentials(),
	} {
		ofConnection := callCheck(t.Context(), dial(t, target, creds, dialsGuarded(everybody), grpc.WithPerRPCCredentials(token("secret"))))
		if ofConnection.Code != codes.Unavailable || !strings.Contains(ofConnection.Message, insecurely) {
			t.Errorf("%s, with a token of the client: %v", name, ofConnection)
		}
		ofCall := callCheck(t.Context(), dial(t, target, creds, dialsGuarded(everybody)), grpc.PerRPCCredentials(token("secret")))
		if ofCall.Code != codes.Unauthenticated || !strings.Contains(ofCall.Message, insecurely) {
			t.Errorf("%s, with a token of the call: %v", name, ofCall)
		}
	}
	if got := s.noted(); len(got) != 1 {
		t.Errorf("calls came to a handler: %v", got)
	}
}

// A client that does not admit the server sends it nothing, whichever of the two denies it.
func TestLoopbackTCPServerDenied(t *testing.T) {
	everybody := guard.Func("everybody", func(guard.Peer) error { return nil })
	for name, policies := range map[string][2]guard.Policy{"by the dialer": {others(), everybody}, "by the credentials": {everybody, others()}} {
		listener, target := listenTCP(t, everybody)
		s := serve(t, listener, serverCreds(everybody))
		got := callCheck(t.Context(), dial(t, target, grpcpeer.NewClientCredentials(policies[1]), dialsGuarded(policies[0])))
		if got.Code != codes.Unavailable || !strings.Contains(got.Message, "peer denied, uid=") || len(s.noted()) > 0 {
			t.Errorf("%s: %v, calls: %v", name, got, s.noted())
		}
	}
}

// Real clients under three users, with a rule for each method.
func TestLoopbackTCPUsers(t *testing.T) {
	reexec.NeedRoot(t)
	listener, target := listenTCP(t, guard.UIDs(alice, bob))
	rules := grpcpeer.Rules{check: guard.UIDs(alice, bob), list: guard.UIDs(bob), watch: guard.GIDs(alice, bob)}
	s := serve(t, listener, append(grpcpeer.Require(rules), serverCreds(guard.UIDs(alice, bob)))...)
	got, _ := callers(t, []string{target})
	s.stop()
	want := map[uint32]map[string]outcome{
		alice: {check: fine, list: refused, watch: failed},
		bob:   {check: fine, list: fine, watch: failed},
	}
	for id, outcomes := range want {
		if diff := cmp.Diff(outcomes, got[id][0]); diff != "" {
			t.Errorf("uid %d (-want +got):\n%s", id, diff)
		}
	}
	for method, o := range got[root][0] {
		if o.Code != codes.Unavailable {
			t.Errorf("root calls %s: %v", method, o)
		}
		checkSilent(t, o.Message)
	}
}
