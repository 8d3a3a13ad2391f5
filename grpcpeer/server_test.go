//go:build unix

package grpcpeer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"example.com/peercred"
	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

// The methods of gRPC's health service, of which Watch is a stream.
const (
	check = healthgrpc.Health_Check_FullMethodName
	list  = healthgrpc.Health_List_FullMethodName
	watch = healthgrpc.Health_Watch_FullMethodName
	all   = "/grpc.health.v1.Health/"
)

// service is a health service that records the calls of its handlers.
type service struct {
	healthgrpc.UnimplementedHealthServer
	stop func() // returns when all handshakes and calls have, and their hooks

	mu    sync.Mutex
	calls []call
	peers []guard.Peer
}

// call is a call of a method by a peer. The peer is nil if it is not known.
type call struct {
	Method string
	Peer   *peercred.PeerCredentials
	Level  credentials.SecurityLevel
}

func (s *service) note(ctx context.Context, method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, _ := grpcpeer.PeerFromContext(ctx)
	c := call{Method: method, Peer: known.Credentials()}
	if p, _ := peer.FromContext(ctx); p != nil {
		if info, ok := p.AuthInfo.(interface {
			GetCommonAuthInfo() credentials.CommonAuthInfo
		}); ok {
			c.Level = info.GetCommonAuthInfo().SecurityLevel
		}
	}
	s.calls = append(s.calls, c)
	s.peers = append(s.peers, known)
}

// noted returns the calls that came to a handler.
func (s *service) noted() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *service) Check(ctx context.Context, _ *healthgrpc.HealthCheckRequest) (*healthgrpc.HealthCheckResponse, error) {
	s.note(ctx, check)
	return &healthgrpc.HealthCheckResponse{}, nil
}

func (s *service) List(ctx context.Context, _ *healthgrpc.HealthListRequest) (*healthgrpc.HealthListResponse, error) {
	s.note(ctx, list)
	return &healthgrpc.HealthListResponse{}, nil
}

func (s *service) Watch(_ *healthgrpc.HealthCheckRequest, stream grpc.ServerStreamingServer[healthgrpc.HealthCheckResponse]) error {
	s.note(stream.Context(), watch)
	return stream.Send(&healthgrpc.HealthCheckResponse{})
}

// serve serves the health service until it is stopped, or the test ends.
func serve(t testing.TB, listener net.Listener, options ...grpc.ServerOption) *service {
	t.Helper()
	s := &service{}
	server := grpc.NewServer(append(options, grpc.ConnectionTimeout(patience))...)
	healthgrpc.RegisterHealthServer(server, s)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	s.stop = sync.OnceFunc(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func serverCreds(policy guard.Policy, onDeny ...func(*guard.Denied)) grpc.ServerOption {
	return grpc.Creds(grpcpeer.NewServerCredentials(policy, onDeny...))
}

// listen returns a listener on a socket file, and what a client dials.
func listen(t testing.TB) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, "unix:" + path
}

// patience ends a connection that is never made. gRPC's own limits are seconds, which
// pass on a slow machine too.
const patience = 5 * time.Minute

// patiently makes a client wait so long for a connection.
var patiently = grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: patience})

// dial returns a client, which connects with its first call.
func dial(t testing.TB, target string, creds credentials.TransportCredentials, options ...grpc.DialOption) healthgrpc.HealthClient {
	t.Helper()
	client, err := grpc.NewClient(target, append(options, grpc.WithTransportCredentials(creds), patiently)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return healthgrpc.NewHealthClient(client)
}

func dialInsecure(t testing.TB, target string) healthgrpc.HealthClient {
	t.Helper()
	return dial(t, target, insecure.NewCredentials())
}

// outcome is how a call ended, as its client sees it.
type outcome struct {
	Code    codes.Code
	Message string
}

var (
	fine    = outcome{}
	refused = outcome{Code: codes.PermissionDenied}
	failed  = outcome{Code: codes.Internal}
)

func outcomeOf(err error) outcome {
	s := status.Convert(err)
	o := outcome{s.Code(), s.Message()}
	if len(s.Details()) > 0 {
		o.Message += " and details"
	}
	return o
}

// callCheck makes the unary call that most tests are content with.
func callCheck(ctx context.Context, client healthgrpc.HealthClient, options ...grpc.CallOption) outcome {
	_, err := client.Check(ctx, &healthgrpc.HealthCheckRequest{}, options...)
	return outcomeOf(err)
}

func callWatch(ctx context.Context, client healthgrpc.HealthClient) outcome {
	stream, err := client.Watch(ctx, &healthgrpc.HealthCheckRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return outcomeOf(err)
}

// callAll calls every method once.
func callAll(ctx context.Context, client healthgrpc.HealthClient) map[string]outcome {
	_, err := client.List(ctx, &healthgrpc.HealthListRequest{})
	return map[string]outcome{check: callCheck(ctx, client), list: outcomeOf(err), watch: callWatch(ctx, client)}
}

// denials is a hook that keeps the denials.
type denials struct {
	mu   sync.Mutex
	told []*guard.Denied
}

func (d *denials) hook(denied *guard.Denied) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, denied)
}

func (d *denials) ofMethod(_ string, denied *guard.Denied) { d.hook(denied) }

func (d *denials) all() []*guard.Denied {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told
}

func self() *peercred.PeerCredentials {
	return &peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

// others admits anybody but us: nobody in this process.
func others() guard.Policy { return guard.UIDs(uint32(os.Geteuid()) + 1) }

// needClients skips the test if the kernel does not report to a client who serves.
func needClients(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so every server is denied")
	}
}

// checkSilent asserts that the peer reads nothing of the reason for a denial.
func checkSilent(t testing.TB, text string, secrets ...string) {
	t.Helper()
	for _, secret := range append(secrets, "uid", "gid", "pid", "denied", "peercred", "rule") {
		if strings.Contains(text, secret) {
			t.Errorf("the peer reads %q, which tells %q", text, secret)
		}
	}
}

// logged returns what is logged from now on, also by [log/slog]. Read it when nothing logs
// any more.
func logged(t testing.TB) *bytes.Buffer {
	t.Helper()
	var text bytes.Buffer
	log.SetOutput(&text)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return &text
}

// checkLogged asserts that so many panics of hooks were logged, with the denial.
func checkLogged(t testing.TB, text *bytes.Buffer, times int) {
	t.Helper()
	if got := strings.Count(text.String(), "onDeny panicked"); got != times || !strings.Contains(text.String(), "denied.rule=") {
		t.Errorf("%d panics are logged, want %d:\n%s", got, times, text)
	}
}
