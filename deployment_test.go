//go:build unix

package peercred_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/peercred/guard"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// The code in docs/deployment.md is in example_deployment_test.go, so it compiles.
func TestDeploymentCodeIsTheExample(t *testing.T) {
	page, err := os.ReadFile("docs/deployment.md")
	if err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	example, err := os.ReadFile("example_deployment_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Errorf("docs/deployment.md has %d blocks of Go, want listenInPod and serveByRoute", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(string(example), block[1]) {
			t.Errorf("example_deployment_test.go does not have what docs/deployment.md shows:\n%s", block[1])
		}
	}
}

// A client that a route denies reads a status. An admitted client gets the answer.
func TestDeploymentServesByRoute(t *testing.T) {
	secret := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the secret") })
	for _, test := range []struct {
		name   string
		policy guard.Policy
		status int
		body   string
	}{
		{"admitted", guard.CurrentUser(), http.StatusOK, "the secret"},
		{"denied", guard.UIDs(uint32(os.Geteuid()) + 1), http.StatusForbidden, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "") // t.TempDir's are long on macOS
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "s")
			listener, server, err := serveByRoute(t.Context(), path, test.policy, secret)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			client := &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "unix", path)
				},
			}}
			answer, err := client.Get("http://server/secret")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil || answer.StatusCode != test.status || string(body) != test.body {
				t.Errorf("status %d, %q, %v, want %d, %q", answer.StatusCode, body, err, test.status, test.body)
			}
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if err := <-served; err != http.ErrServerClosed {
				t.Errorf("Serve: %v, want %v", err, http.ErrServerClosed)
			}
		})
	}
}
