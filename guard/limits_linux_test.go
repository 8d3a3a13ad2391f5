package guard

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred/internal/reexec"
)

// helperServeHTTP answers "hello", and in the end reports its counts.
func helperServeHTTP(r role) error {
	listener, err := Listen(context.Background(), "unix", r.Address, Config{Policy: everybody(), Mode: 0o666, OnDeny: func(*Denied) {}, CloseOnExit: r.CloseOnExit})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") })}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	reexec.Step("listening")
	server.Close()
	<-served
	return reexec.Report(listener.Counts())
}

// helperHold connects Count times and keeps all open.
func helperHold(r role) error {
	for range r.Count {
		conn, err := net.Dial("unix", r.Address)
		if err != nil {
			return err
		}
		defer conn.Close()
	}
	reexec.Step("connected")
	return nil
}

// fewDescriptors starts the process as a shell with "ulimit -n" starts a server.
func fewDescriptors(c *exec.Cmd) {
	shell := exec.Command("sh", "-c", `ulimit -n 64 && exec "$0"`, testBinary())
	c.Path, c.Args = shell.Path, shell.Args
}

// One user holds 200 connections to a server that has 64 descriptors. The server still
// answers the request of another user.
func TestGreedyUser(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("needs curl: %v", err)
	}
	for _, test := range []struct {
		name        string
		closeOnExit bool
		let         uint64 // of the greedy user
	}{{"plain", false, 16}, {"a handle for each", true, 8}} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(openDirectory(t), "s")
			server := reexec.Start(t, role{Do: "serve HTTP", Address: path, CloseOnExit: test.closeOnExit}, fewDescriptors)
			server.Expect("listening")
			uid := uint32(1001)
			greedy := reexec.Start(t, role{Do: "hold", Address: path, Count: 200, UID: &uid, GID: &uid})
			greedy.Expect("connected")
			var errors bytes.Buffer
			curl := exec.Command("curl", "-sS", "--max-time", "20", "--unix-socket", path, "http://localhost/")
			curl.Stderr = &errors
			if out, err := curl.Output(); err != nil || string(out) != "hello\n" {
				t.Errorf("%s: %q, %v, %s", strings.Join(curl.Args, " "), out, err, &errors)
			}
			server.Proceed()
			var got Counts
			server.Decode(&got)
			server.Finish()
			greedy.Finish()
			want := Counts{Accepted: test.let + 1, Denied: map[string]uint64{}, Limited: 200 - test.let}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Counts (-want +got):\n%s", diff)
			}
		})
	}
}
