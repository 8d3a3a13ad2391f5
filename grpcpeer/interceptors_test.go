//go:build unix

package grpcpeer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

func outcomes(ofCheck, ofList, ofWatch outcome) map[string]outcome {
	return map[string]outcome{check: ofCheck, list: ofList, watch: ofWatch}
}

// The most exact rule decides. Here all calls come from one user.
func TestRules(t *testing.T) {
	us := guard.CurrentUser()
	tests := map[string]struct {
		rules grpcpeer.Rules
		want  map[string]outcome
	}{
		"none":                      {nil, outcomes(refused, refused, refused)},
		"empty":                     {grpcpeer.Rules{}, outcomes(refused, refused, refused)},
		"one method":                {grpcpeer.Rules{check: us}, outcomes(fine, refused, refused)},
		"one stream":                {grpcpeer.Rules{watch: us}, outcomes(refused, refused, fine)},
		"the service":               {grpcpeer.Rules{all: us}, outcomes(fine, fine, fine)},
		"everything":                {grpcpeer.Rules{"/": us}, outcomes(fine, fine, fine)},
		"another service":           {grpcpeer.Rules{"/grpc.health.v1.Healthy/": us, "/grpc.health.v1/": us, "/grpc.health.v1.Health/Chec": us}, outcomes(refused, refused, refused)},
		"method before service":     {grpcpeer.Rules{check: others(), watch: us, all: us}, outcomes(refused, fine, fine)},
		"stream before service":     {grpcpeer.Rules{watch: others(), all: us}, outcomes(fine, fine, refused)},
		"method before everything":  {grpcpeer.Rules{check: us, "/": others()}, outcomes(fine, refused, refused)},
		"service before everything": {grpcpeer.Rules{all: others(), "/": us}, outcomes(refused, refused, refused)},
		"all three":                 {grpcpeer.Rules{watch: others(), all: us, "/": others()}, outcomes(fine, fine, refused)},
		"the zero policy":           {grpcpeer.Rules{check: {}, all: us}, outcomes(refused, fine, fine)},
		"a panic":                   {grpcpeer.Rules{check: guard.Func("careless", panics), watch: guard.Func("careless", panics), all: us}, outcomes(failed, fine, failed)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			listener, target := listen(t)
			var mu sync.Mutex
			told := map[string]outcome{}
			hook := func(method string, denied *guard.Denied) {
				mu.Lock()
				defer mu.Unlock()
				told[method] = refused
				if denied.Failed {
					told[method] = failed
				}
				if diff := cmp.Diff(self(), denied.Credentials); diff != "" {
					t.Errorf("the credentials of %v (-want +got):\n%s", denied, diff)
				}
			}
			s := serve(t, listener, append(grpcpeer.Require(test.rules, hook), serverCreds(guard.CurrentUser()))...)
			if diff := cmp.Diff(test.want, callAll(t.Context(), dialInsecure(t, target))); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			for _, call := range s.noted() {
				told[call.Method] = fine
			}
			if diff := cmp.Diff(test.want, told); diff != "" {
				t.Errorf("denials and handlers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnlistedIsNamed(t *testing.T) {
	listener, target := listen(t)
	var told denials
	serve(t, listener, append(grpcpeer.Require(nil, told.ofMethod), serverCreds(guard.CurrentUser()))...)
	callCheck(t.Context(), dialInsecure(t, target))
	want := []*guard.Denied{{Credentials: self(), Rule: "a rule for the method"}}
	if diff := cmp.Diff(want, told.all()); diff != "" {
		t.Errorf("denials (-want +got):\n%s", diff)
	}
}

// A connection that was not made with these credentials has no peer.
func TestUnknownPeer(t *testing.T) {
	everybody := grpcpeer.Rules{"/": guard.Func("everybody", func(guard.Peer) error { return nil })}
	for name, options := range map[string][]grpc.ServerOption{
		"insecure credentials": {grpc.Creds(insecure.NewCredentials())},
		"local credentials":    {grpc.Creds(local.NewCredentials())},
		"no credentials":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			listener, target := listen(t)
			var told denials
			s := serve(t, listener, append(options, grpcpeer.Require(everybody, told.ofMethod)...)...)
			if diff := cmp.Diff(outcomes(failed, failed, failed), callAll(t.Context(), dialInsecure(t, target))); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if calls := s.noted(); len(calls) > 0 {
				t.Errorf("calls came to a handler: %v", calls)
			}
			for _, denied := range told.all() {
				if !denied.Failed || denied.Credentials != nil {
					t.Errorf("onDeny was told of %v", denied)
				}
			}
			if len(told.all()) != 3 {
				t.Errorf("onDeny got %d denials, want 3", len(told.all()))
			}
		})
	}
}

// Calls that net/http hands to gRPC bypass the credentials, but not the rules.
func TestServeHTTP(t *testing.T) {
	listener, target := listen(t)
	var told denials
	everybody := grpcpeer.Rules{"/": guard.Func("everybody", func(guard.Peer) error { return nil })}
	server := grpc.NewServer(append(grpcpeer.Require(everybody, told.ofMethod), serverCreds(guard.CurrentUser()))...)
	s := &service{}
	healthgrpc.RegisterHealthServer(server, s)
	front := &http.Server{Handler: server, Protocols: new(http.Protocols)}
	front.Protocols.SetUnencryptedHTTP2(true)
	go front.Serve(listener)
	defer front.Close()
	if diff := cmp.Diff(outcomes(failed, failed, failed), callAll(t.Context(), dialInsecure(t, target))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if len(s.noted()) > 0 || len(told.all()) != 3 {
		t.Errorf("calls that came to a handler: %v, denials: %v", s.noted(), told.all())
	}
}

func TestPeerFromContext(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"bare":                 t.Context(),
		"a nil peer":           peer.NewContext(t.Context(), nil),
		"no AuthInfo":          peer.NewContext(t.Context(), &peer.Peer{}),
		"an AuthInfo of zero":  peer.NewContext(t.Context(), &peer.Peer{AuthInfo: grpcpeer.AuthInfo{}}),
		"a peer of guard only": guard.ConnContext(t.Context(), nil),
	} {
		if got, ok := grpcpeer.PeerFromContext(ctx); ok || got != (guard.Peer{}) {
			t.Errorf("%s: PeerFromContext = %v, %v", name, got, ok)
		}
	}
	accepted, _ := unixPair(t)
	_, auth, err := grpcpeer.NewServerCredentials(guard.CurrentUser()).ServerHandshake(accepted)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := grpcpeer.PeerFromContext(peer.NewContext(t.Context(), &peer.Peer{AuthInfo: auth}))
	if diff := cmp.Diff(self(), got.Credentials()); !ok || diff != "" {
		t.Errorf("PeerFromContext: %v (-want +got):\n%s", ok, diff)
	}
}

// No part of an answer has the reason of a denial.
func TestDenialIsSilent(t *testing.T) {
	secret := guard.Func("the secret rule", func(guard.Peer) error { return errors.New("the reason") })
	listener, target := listen(t)
	serve(t, listener, append(grpcpeer.Require(grpcpeer.Rules{"/": secret}), serverCreds(guard.CurrentUser()))...)
	client := dialInsecure(t, target)
	var header, trailer metadata.MD
	if got := callCheck(t.Context(), client, grpc.Header(&header), grpc.Trailer(&trailer)); got != refused {
		t.Errorf("unary call: %v", got)
	}
	delete(trailer, "content-type") // where a call ends with its header, that is the trailer
	if len(header)+len(trailer) > 0 {
		t.Errorf("unary call: header %v, trailer %v", header, trailer)
	}
	if got := callWatch(t.Context(), client); got != refused {
		t.Errorf("stream: %v", got)
	}
}

// If a hook panics, the server goes on, and the other hooks are still called.
func TestInterceptorHookPanics(t *testing.T) {
	text := logged(t)
	listener, target := listen(t)
	var told denials
	hooks := []func(string, *guard.Denied){func(string, *guard.Denied) { panic("a mistake") }, nil, told.ofMethod}
	serve(t, listener, append(grpcpeer.Require(grpcpeer.Rules{list: guard.CurrentUser()}, hooks...), serverCreds(guard.CurrentUser()))...)
	if diff := cmp.Diff(outcomes(refused, fine, refused), callAll(t.Context(), dialInsecure(t, target))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if len(told.all()) != 2 {
		t.Errorf("the other hook was told of %v", told.all())
	}
	checkLogged(t, text, 2*2)
}

// A caller can change its rules and hooks afterwards. That changes no decision.
func TestRulesAreCopied(t *testing.T) {
	listener, target := listen(t)
	var told denials
	rules, hooks := grpcpeer.Rules{check: others()}, []func(string, *guard.Denied){told.ofMethod}
	options := append(grpcpeer.Require(rules, hooks...), serverCreds(guard.CurrentUser()))
	rules[check], rules["/"], hooks[0] = guard.CurrentUser(), guard.CurrentUser(), nil
	serve(t, listener, options...)
	if diff := cmp.Diff(outcomes(refused, refused, refused), callAll(t.Context(), dialInsecure(t, target))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if len(told.all()) != 3 {
		t.Errorf("onDeny was told of %v", told.all())
	}
}

// If the server accepts calls of methods that it does not have, as a proxy does, the rules
// decide on them. Otherwise they are unimplemented.
func TestUnknownMethods(t *testing.T) {
	const other = "/a/c/Method" // a service's name may have slashes
	unknown := map[string]outcome{"/a/b/Method": fine, other: refused, "//Method": refused, all + "Unknown": refused}
	rules := grpcpeer.Rules{"/a/b/": guard.CurrentUser(), check: guard.CurrentUser()}
	everything := grpcpeer.Rules{"/": guard.CurrentUser()}
	var mu sync.Mutex
	var handled []string
	handler := grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		mu.Lock()
		defer mu.Unlock()
		method, _ := grpc.MethodFromServerStream(stream)
		handled = append(handled, method)
		return nil
	})
	for _, test := range []struct {
		name    string
		rules   grpcpeer.Rules
		options []grpc.ServerOption
		want    map[string]outcome
		handled []string
		denied  int
	}{
		{"a handler", rules, []grpc.ServerOption{handler}, unknown, []string{"/a/b/Method"}, 3},
		{"a handler, and a rule for all", everything, []grpc.ServerOption{handler}, map[string]outcome{other: fine}, []string{other}, 0},
		{"a handler, and no rules", nil, []grpc.ServerOption{handler}, map[string]outcome{other: refused}, nil, 1},
		{"no handler", rules, nil, map[string]outcome{
			"/a/b/Method": {codes.Unimplemented, "unknown service a/b"}, all + "Unknown": {codes.Unimplemented, "unknown method Unknown for service grpc.health.v1.Health"},
		}, nil, 0},
		{"no handler, and no rules", nil, nil, map[string]outcome{other: {codes.Unimplemented, "unknown service a/c"}}, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, target := listen(t)
			var told denials
			handled = nil
			options := append(grpcpeer.Require(test.rules, told.ofMethod), serverCreds(guard.CurrentUser()))
			serve(t, listener, append(options, test.options...)...)
			client, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), patiently)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for method, want := range test.want {
				if got := callUnknown(t.Context(), client, method); got != want {
					t.Errorf("%s: %v, want %v", method, got, want)
				}
			}
			if diff := cmp.Diff(test.handled, handled); diff != "" {
				t.Errorf("handled (-want +got):\n%s", diff)
			}
			if len(told.all()) != test.denied {
				t.Errorf("onDeny got %v, want %d denials", told.all(), test.denied)
			}
		})
	}
}

// callUnknown calls a method as a stream of nothing.
func callUnknown(ctx context.Context, client *grpc.ClientConn, method string) outcome {
	stream, err := client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = stream.RecvMsg(&healthgrpc.HealthCheckResponse{})
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return outcomeOf(err)
}

// There are many calls at once, and half of them are denied.
func TestConcurrentCalls(t *testing.T) {
	listener, target := listen(t)
	var told denials
	s := serve(t, listener, append(grpcpeer.Require(grpcpeer.Rules{check: guard.CurrentUser(), watch: others()}, told.ofMethod), serverCreds(guard.CurrentUser()))...)
	var callers sync.WaitGroup
	const clients, calls = 8, 20
	for i := range clients {
		client := dialInsecure(t, target)
		callers.Go(func() {
			for range calls {
				if got := callCheck(t.Context(), client); got != fine {
					t.Errorf("client %s: unary call: %v", strconv.Itoa(i), got)
				}
				if got := callWatch(t.Context(), client); got != refused {
					t.Errorf("client %s: stream: %v", strconv.Itoa(i), got)
				}
			}
		})
	}
	callers.Wait()
	if handled, denied := len(s.noted()), len(told.all()); handled != clients*calls || denied != clients*calls {
		t.Errorf("%d calls handled and %d denied, want %d of each", handled, denied, clients*calls)
	}
}
