package grpcpeer_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

func serveHealth(ctx context.Context) error {
	users := guard.UIDs(0, 1000)
	listener, err := guard.Listen(ctx, "unix", "/run/health.sock", guard.Config{Policy: users, Mode: 0o666})
	if err != nil {
		return err
	}
	rules := grpcpeer.Rules{
		healthgrpc.Health_Check_FullMethodName: users,         // this method
		"/grpc.health.v1.Health/":              guard.UIDs(0), // the others of the service
	} // all that is not listed is refused
	server := grpc.NewServer(append(grpcpeer.Require(rules),
		grpc.Creds(grpcpeer.NewServerCredentials(users)))...)
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	return server.Serve(listener)
}

// The server in the README is the one that compiles here.
func TestREADMEServerIsTheExample(t *testing.T) {
	_ = serveHealth
	example, err := os.ReadFile("example_readme_test.go")
	if err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	begin := strings.Index(string(example), "func serveHealth(")
	length := strings.Index(string(example)[begin:], "\n}\n") + len("\n}\n")
	want := "```go\n" + string(example)[begin:begin+length] + "```\n"
	if !strings.Contains(string(readme), want) {
		t.Errorf("README.md has another server than\n%s", want)
	}
}
