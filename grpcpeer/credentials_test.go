//go:build unix

package grpcpeer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"example.com/peercred"
	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

// pair returns the two ends of a connection, first the accepted one.
func pair(t testing.TB, network, address string) (accepted, dialled net.Conn) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if dialled, err = net.Dial(network, listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	if accepted, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return accepted, dialled
}

func unixPair(t testing.TB) (accepted, dialled net.Conn) { return pair(t, "unix", t.TempDir()+"/s") }

func panics(guard.Peer) error { panic("a mistake") }

// sides are both credentials with a handshake.
var sides = map[string]struct {
	make      func(guard.Policy, ...func(*guard.Denied)) credentials.TransportCredentials
	handshake func(context.Context, credentials.TransportCredentials, net.Conn) (net.Conn, credentials.AuthInfo, error)
	other     func(context.Context, credentials.TransportCredentials, net.Conn) (net.Conn, credentials.AuthInfo, error)
}{
	"server": {grpcpeer.NewServerCredentials, serverHandshake, clientHandshake},
	"client": {grpcpeer.NewClientCredentials, clientHandshake, serverHandshake},
}

func serverHandshake(_ context.Context, creds credentials.TransportCredentials, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return creds.ServerHandshake(conn)
}

func clientHandshake(ctx context.Context, creds credentials.TransportCredentials, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return creds.ClientHandshake(ctx, "authority", conn)
}

func TestHandshakeAdmits(t *testing.T) {
	needClients(t)
	for name, side := range sides {
		t.Run(name, func(t *testing.T) {
			var told denials
			creds := side.make(guard.CurrentUser(), told.hook).Clone() // the clone is as good
			accepted, _ := unixPair(t)
			conn, auth, err := side.handshake(t.Context(), creds, accepted)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := conn.(*guard.Conn); !ok { // which closes what was opened for its peer
				t.Errorf("the conn is %T", conn)
			}
			info, ok := auth.(grpcpeer.AuthInfo)
			if !ok {
				t.Fatalf("the AuthInfo is %T", auth)
			}
			if diff := cmp.Diff(self(), info.Peer.Credentials()); diff != "" {
				t.Errorf("peer (-want +got):\n%s", diff)
			}
			if info.AuthType() != "peercred" || info.SecurityLevel != credentials.PrivacyAndIntegrity {
				t.Errorf("AuthType %q, SecurityLevel %v", info.AuthType(), info.SecurityLevel)
			}
			if err := credentials.CheckSecurityLevel(auth, credentials.PrivacyAndIntegrity); err != nil {
				t.Error(err)
			}
			if err := info.ValidateAuthority("any.name"); err != nil {
				t.Errorf("ValidateAuthority: %v", err)
			}
			if len(told.all()) > 0 {
				t.Errorf("onDeny got %v", told.all())
			}
			conn.Close()
			if _, err := accepted.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Close left the inner connection open: %v", err)
			}
		})
	}
}

func TestHandshakeDenies(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		network string
		policy  guard.Policy
		want    guard.Denied
	}{
		"another user":     {"unix", others(), guard.Denied{Credentials: self(), Rule: others().String()}},
		"zero policy":      {"unix", guard.Policy{}, guard.Denied{Credentials: self(), Rule: "nobody"}},
		"a reason":         {"unix", guard.Func("whole", func(guard.Peer) error { return broken }), guard.Denied{Credentials: self(), Rule: "whole", Err: broken}},
		"a panic":          {"unix", guard.Func("careless", panics), guard.Denied{Credentials: self(), Rule: "careless", Failed: true, Err: errAny}},
		"no Unix socket":   {"tcp", guard.Func("everybody", func(guard.Peer) error { return nil }), guard.Denied{Rule: "a known peer", Failed: true, Err: errAny}},
		"no socket at all": {"pipe", guard.Func("everybody", func(guard.Peer) error { return nil }), guard.Denied{Rule: "a known peer", Failed: true, Err: errAny}},
	}
	for name, test := range tests {
		for sideName, side := range sides {
			t.Run(name+", "+sideName, func(t *testing.T) {
				needClients(t)
				ours, theirs := ends(t, test.network)
				var told denials
				hooks := []func(*guard.Denied){told.hook}
				creds := side.make(test.policy, hooks...).Clone()
				hooks[0] = nil // what a caller does to its hooks afterwards changes nothing
				conn, auth, err := side.handshake(t.Context(), creds, ours)
				if conn != nil || auth != nil || err == nil {
					t.Fatalf("handshake = %v, %v, %v", conn, auth, err)
				}
				denied, ok := errors.AsType[*guard.Denied](err)
				if !ok {
					t.Fatalf("the error is %v, no *guard.Denied", err)
				}
				if diff := cmp.Diff(test.want, *denied, errorsAsWanted); diff != "" {
					t.Errorf("denied (-want +got):\n%s", diff)
				}
				if all := told.all(); len(all) != 1 || all[0] != denied {
					t.Errorf("onDeny got %v", all)
				}
				if err := ours.SetDeadline(time.Time{}); test.network != "pipe" && !errors.Is(err, net.ErrClosed) {
					t.Errorf("gRPC's own Close has still to close the connection: %v", err)
				}
				if sent, err := io.ReadAll(theirs); len(sent) > 0 || err != nil {
					t.Errorf("the peer reads %q, %v", sent, err)
				}
			})
		}
	}
}

// errAny matches any error. Other errors must be the same.
var errAny = errors.New("any error")

var errorsAsWanted = cmp.Comparer(func(a, b error) bool {
	return a == b || a == errAny && b != nil || b == errAny && a != nil
})

func ends(t testing.TB, network string) (ours, theirs net.Conn) {
	switch network {
	case "unix":
		return unixPair(t)
	case "tcp":
		return pair(t, "tcp", "127.0.0.1:0")
	}
	return net.Pipe()
}

func TestHandshakeOfTheOtherSide(t *testing.T) {
	for name, side := range sides {
		accepted, _ := unixPair(t)
		if conn, auth, err := side.other(t.Context(), side.make(guard.CurrentUser()), accepted); conn != nil || auth != nil || err == nil {
			t.Errorf("%s: the other side's handshake = %v, %v, %v", name, conn, auth, err)
		}
	}
}

// isDenied reports whether err is a denial.
func isDenied(err error) bool {
	_, denied := errors.AsType[*guard.Denied](err)
	return denied
}

func TestHandshakeWithoutConn(t *testing.T) {
	for name, side := range sides {
		if _, _, err := side.handshake(t.Context(), side.make(guard.CurrentUser()), nil); !isDenied(err) {
			t.Errorf("%s: handshake: %v", name, err)
		}
	}
}

func TestInfoAndClone(t *testing.T) {
	for name, side := range sides {
		creds := side.make(guard.CurrentUser())
		want := credentials.ProtocolInfo{SecurityProtocol: "peercred"}
		for _, some := range []credentials.TransportCredentials{creds, creds.Clone()} {
			if diff := cmp.Diff(want, some.Info()); diff != "" {
				t.Errorf("%s: Info (-want +got):\n%s", name, diff)
			}
		}
	}
}

// A server name has no effect, so it is an error.
func TestOverrideServerName(t *testing.T) {
	for name, side := range sides {
		creds := side.make(guard.CurrentUser()).(interface{ OverrideServerName(string) error })
		if err := creds.OverrideServerName("override"); err == nil || !strings.Contains(err.Error(), "grpc.WithAuthority") {
			t.Errorf("%s: %v, want an error that names grpc.WithAuthority", name, err)
		}
	}
}

// If a hook panics, the other hooks are still called.
func TestHookPanics(t *testing.T) {
	needClients(t)
	text := logged(t)
	for name, side := range sides {
		var told denials
		ours, _ := unixPair(t)
		creds := side.make(others(), func(*guard.Denied) { panic("a mistake") }, nil, told.hook)
		if _, _, err := side.handshake(t.Context(), creds, ours); !isDenied(err) {
			t.Errorf("%s: handshake: %v", name, err)
		}
		if len(told.all()) != 1 {
			t.Errorf("%s: the other hook got %v", name, told.all())
		}
	}
	checkLogged(t, text, 2*len(sides))
}

// closing is a Unix conn that reports every Close.
type closing struct {
	*net.UnixConn
	closed chan struct{}
}

func (c closing) Close() error {
	c.closed <- struct{}{}
	return c.UnixConn.Close()
}

// The context ends a handshake whose policy waits; what the policy admits
// thereafter is closed.
func TestClientHandshakeContext(t *testing.T) {
	needClients(t)
	for name, verdict := range map[string]error{"admitted too late": nil, "denied too late": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			asked, release := make(chan struct{}), make(chan struct{})
			policy := guard.Func("slow", func(guard.Peer) error { close(asked); <-release; return verdict })
			var told denials
			_, dialled := unixPair(t)
			conn := closing{dialled.(*net.UnixConn), make(chan struct{}, 2)}
			go func() { <-asked; cancel() }()
			_, _, err := grpcpeer.NewClientCredentials(policy, told.hook).ClientHandshake(ctx, "", conn)
			if err != context.Canceled {
				t.Errorf("handshake: %v, want %v", err, context.Canceled)
			}
			<-conn.closed // by the handshake, which returns while the policy waits
			close(release)
			<-conn.closed // by the goroutine that the policy has told
			if len(told.all()) > 0 {
				t.Errorf("onDeny got %v", told.all())
			}
		})
	}
}

// A denial is not temporary, so gRPC knows that it may give up. It says who was denied.
func TestClientGivesUp(t *testing.T) {
	needClients(t)
	_, dialled := unixPair(t)
	_, _, err := grpcpeer.NewClientCredentials(others()).ClientHandshake(t.Context(), "", dialled)
	if permanent, ok := err.(interface{ Temporary() bool }); !ok || permanent.Temporary() {
		t.Errorf("the error %#v is not said to be permanent", err)
	}
	denied, ok := errors.AsType[*guard.Denied](err)
	if !ok {
		t.Fatalf("the error is %v, no *guard.Denied", err)
	}
	if diff := cmp.Diff(self(), denied.Credentials); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
}

// A client that does not admit the server sends it nothing.
func TestClientSendsNothing(t *testing.T) {
	needClients(t)
	listener, target := listen(t)
	client := dial(t, target, grpcpeer.NewClientCredentials(others()), grpc.WithPerRPCCredentials(token("secret")))
	received := make(chan []byte)
	go func() {
		var bytes []byte
		if conn, err := listener.Accept(); err == nil {
			bytes, _ = io.ReadAll(conn)
		}
		received <- bytes
	}()
	if got := callCheck(t.Context(), client); got.Code != codes.Unavailable {
		t.Errorf("call: %v", got)
	}
	if bytes := <-received; len(bytes) > 0 {
		t.Errorf("the server received %q", bytes)
	}
}

// A server on TCP denies everybody, and goes on.
func TestTCP(t *testing.T) {
	everybody := guard.Func("everybody", func(guard.Peer) error { return nil })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var told, toldClient denials
	s := serve(t, listener, serverCreds(everybody, told.hook))
	if got := callCheck(t.Context(), dialInsecure(t, listener.Addr().String())); got.Code != codes.Unavailable {
		t.Errorf("call: %v", got)
	}
	if got := callCheck(t.Context(), dial(t, listener.Addr().String(), grpcpeer.NewClientCredentials(everybody, toldClient.hook))); got.Code != codes.Unavailable {
		t.Errorf("call of a guarded client: %v", got)
	}
	s.stop()
	if calls := s.noted(); len(calls) > 0 {
		t.Errorf("calls came to a handler: %v", calls)
	}
	for name, all := range map[string][]*guard.Denied{"server": told.all(), "client": toldClient.all()} {
		if len(all) == 0 {
			t.Errorf("the %s's onDeny got nothing", name)
			continue
		}
		if _, ok := errors.AsType[*peercred.ErrNotUnixSocket](all[0]); !ok || !all[0].Failed {
			t.Errorf("the %s's onDeny got %v", name, all[0])
		}
	}
}

// token is a credential for calls that must not go over an insecure connection.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"token": string(t)}, nil
}

func (token) RequireTransportSecurity() bool { return true }

// Both ends have the level that gRPC demands for a token, and a client may name the
// server as it likes.
func TestSecurityLevel(t *testing.T) {
	needClients(t)
	listener, target := listen(t)
	var received metadata.MD
	s := serve(t, listener, serverCreds(guard.CurrentUser()),
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			received, _ = metadata.FromIncomingContext(ctx)
			return handler(ctx, request)
		}))
	client := dial(t, target, grpcpeer.NewClientCredentials(guard.CurrentUser()), grpc.WithPerRPCCredentials(token("of the connection")))
	var server peer.Peer
	if got := callCheck(t.Context(), client, grpc.Peer(&server), grpc.PerRPCCredentials(token("of the call")), grpc.CallAuthority("any.name")); got != fine {
		t.Fatalf("call: %v", got)
	}
	want := []call{{check, self(), credentials.PrivacyAndIntegrity}}
	if diff := cmp.Diff(want, s.noted()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"of the connection", "of the call"}, received["token"]); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"any.name"}, received[":authority"]); diff != "" {
		t.Errorf("authority (-want +got):\n%s", diff)
	}
	info, ok := server.AuthInfo.(grpcpeer.AuthInfo)
	if !ok || info.SecurityLevel != credentials.PrivacyAndIntegrity {
		t.Fatalf("the client's AuthInfo is %#v", server.AuthInfo)
	}
	if diff := cmp.Diff(self(), info.Peer.Credentials()); diff != "" {
		t.Errorf("the client's peer (-want +got):\n%s", diff)
	}
}

// recording is a guard.Listener that records the peers that it admitted.
type recording struct {
	*guard.Listener
	accepted []guard.Peer
}

func (r *recording) Accept() (net.Conn, error) {
	conn, err := r.AcceptPeer()
	if err != nil {
		return nil, err
	}
	r.accepted = append(r.accepted, conn.Peer())
	return conn, nil
}

// The handler gets the peer of the guard.Listener's conn. The kernel is not asked again.
func TestGuardListener(t *testing.T) {
	path := t.TempDir() + "/s"
	inner, err := guard.Listen(t.Context(), "unix", path, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	listener := &recording{Listener: inner}
	s := serve(t, listener, serverCreds(guard.CurrentUser()))
	if got := callCheck(t.Context(), dialInsecure(t, "unix:"+path)); got != fine {
		t.Fatalf("call: %v", got)
	}
	if len(s.peers) != 1 || len(listener.accepted) != 1 || s.peers[0] != listener.accepted[0] {
		t.Errorf("accepted %v, and the handler got %v", listener.accepted, s.peers)
	}
}

func guarded(t *testing.T, inner net.Listener, policy guard.Policy) net.Listener {
	t.Helper()
	listener, err := guard.NewListener(inner, guard.Config{Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// The listener and the credentials have different policies. Both must admit a peer.
func TestGuardListenerAndOtherPolicy(t *testing.T) {
	inner, target := listen(t)
	var told denials
	s := serve(t, guarded(t, inner, guard.CurrentUser()), serverCreds(others(), told.hook))
	got := callCheck(t.Context(), dialInsecure(t, target))
	s.stop()
	if got.Code != codes.Unavailable || len(s.noted()) > 0 || len(told.all()) == 0 {
		t.Errorf("call: %v, calls that came to a handler: %v, denials: %v", got, s.noted(), told.all())
	}
	checkSilent(t, got.Message)
}

// A policy or a hook that panics denies the peer, and the server goes on.
func TestServerSurvivesPanics(t *testing.T) {
	logged(t)
	listener, target := listen(t)
	careless := make(chan bool, 1) // whether the next peer meets a panic
	policy := guard.Func("careless at first", func(peer guard.Peer) error {
		if <-careless {
			panic("a mistake")
		}
		return nil
	})
	s := serve(t, listener, serverCreds(policy, func(*guard.Denied) { panic("another") }))
	careless <- true
	got := callCheck(t.Context(), dialInsecure(t, target))
	if got.Code != codes.Unavailable || len(s.noted()) > 0 {
		t.Errorf("call: %v, calls that came to a handler: %v", got, s.noted())
	}
	checkSilent(t, got.Message, "mistake", "careless")
	close(careless) // false from now on
	if got := callCheck(t.Context(), dialInsecure(t, target)); got != fine {
		t.Errorf("call after the panic: %v", got)
	}
}
