//go:build unix && !netbsd

package grpcpeer_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

// A server that serves its own user alone, and whose handlers know who calls.
func ExampleNewServerCredentials() {
	path, remove := examplePath()
	defer remove()

	policy := guard.CurrentUser()
	listener, err := guard.Listen(context.Background(), "unix", path, guard.Config{Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	showCaller := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		peer, known := grpcpeer.PeerFromContext(ctx)
		fmt.Println("known:", known, "our own user:", int(peer.Credentials().UID) == os.Geteuid())
		return handler(ctx, request)
	}
	server := grpc.NewServer(
		grpc.Creds(grpcpeer.NewServerCredentials(policy, guard.LogDenied(slog.Default()))),
		grpc.UnaryInterceptor(showCaller))
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	defer server.Stop()

	exampleCall(path)
	// Output:
	// known: true our own user: true
	// OK
}

// A client that sends nothing to a server of another user.
func ExampleNewClientCredentials() {
	path, remove := examplePath()
	defer remove()
	defer exampleServer(path, grpc.Creds(grpcpeer.NewServerCredentials(guard.CurrentUser()))).Stop()

	anotherUser := guard.UIDs(uint32(os.Geteuid()) + 1)
	for _, policy := range []guard.Policy{guard.CurrentUser(), anotherUser} {
		onDeny := func(denied *guard.Denied) { fmt.Println("denied:", denied.Rule == anotherUser.String()) }
		client, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(grpcpeer.NewClientCredentials(policy, onDeny)))
		if err != nil {
			log.Fatal(err)
		}
		_, err = healthgrpc.NewHealthClient(client).Check(context.Background(), &healthgrpc.HealthCheckRequest{})
		fmt.Println(status.Code(err))
		client.Close()
	}
	// Output:
	// OK
	// denied: true
	// Unavailable
}

// A server with rules for each method.
func ExampleRequire() {
	path, remove := examplePath()
	defer remove()

	rules := grpcpeer.Rules{
		healthgrpc.Health_Check_FullMethodName: guard.CurrentUser(), // this method
		"/grpc.health.v1.Health/":              guard.UIDs(0),       // others of the service
		// All other methods are denied.
	}
	logged := func(method string, denied *guard.Denied) {
		slog.Warn("call denied", "method", method, "denied", denied)
	}
	defer exampleServer(path, append(grpcpeer.Require(rules, logged),
		grpc.Creds(grpcpeer.NewServerCredentials(guard.CurrentUser())))...).Stop()

	exampleCall(path)
	// Output: OK
}

// Interceptors among others, in an order that the program chooses.
func ExampleUnaryServerInterceptor() {
	path, remove := examplePath()
	defer remove()

	count := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		fmt.Println("a call of", info.FullMethod)
		return handler(ctx, request)
	}
	rules := grpcpeer.Rules{healthgrpc.Health_Watch_FullMethodName: guard.CurrentUser()}
	defer exampleServer(path,
		grpc.Creds(grpcpeer.NewServerCredentials(guard.CurrentUser())),
		grpc.ChainUnaryInterceptor(count, grpcpeer.UnaryServerInterceptor(rules)),
		grpc.ChainStreamInterceptor(grpcpeer.StreamServerInterceptor(rules))).Stop()

	exampleCall(path)
	// Output:
	// a call of /grpc.health.v1.Health/Check
	// PermissionDenied
}

// examplePath returns where to put a socket file.
func examplePath() (path string, remove func()) {
	directory, err := os.MkdirTemp("", "grpcpeer")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(directory, "socket"), func() { os.RemoveAll(directory) }
}

// exampleServer serves the health service at path.
func exampleServer(path string, options ...grpc.ServerOption) *grpc.Server {
	listener, err := guard.Listen(context.Background(), "unix", path, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	return server
}

// exampleCall makes a call, as any client can, and prints how it ends.
func exampleCall(path string) {
	client, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = healthgrpc.NewHealthClient(client).Check(context.Background(), &healthgrpc.HealthCheckRequest{})
	fmt.Println(status.Code(err))
}
