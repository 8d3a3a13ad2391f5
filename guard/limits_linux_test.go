package guard

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
)

func init() {
	roles["run out"] = helperRunOut
	roles["serve HTTP"] = helperServeHTTP
	roles["hold"] = helperHold
}

// helperRunOut listens with few descriptors, and lets them run out. It reports whether its
// listener serves the peers afterwards that waited meanwhile.
func helperRunOut(r role) error {
	listener, err := Listen(context.Background(), "unix", r.Address, Config{Policy: CurrentUser()})
	if err != nil {
		return err
	}
	reexec.Step("listening")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		return err
	}
	var taken []*os.File
	for {
		file, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			return err
		}
		taken = append(taken, file)
	}
	accepted := make(chan error)
	go func() {
		for range r.Count {
			conn, err := listener.Accept()
			if err == nil {
				_, err = io.WriteString(conn, "welcome")
			}
			if err == nil {
				err = conn.Close()
			}
			accepted <- err
		}
	}()
	enough := time.After(patience)
	for listener.Counts().Retried == 0 { // until it has failed once
		select {
		case err := <-accepted:
			return fmt.Errorf("accepted without a descriptor: %v", err)
		case <-enough:
			return errors.New("the listener never noticed that there is no descriptor")
		default:
			runtime.Gosched()
		}
	}
	for _, file := range taken {
		file.Close()
	}
	for range r.Count {
		if err := <-accepted; err != nil {
			return err
		}
	}
	fmt.Println("outlived", listener.Counts().Accepted)
	return listener.Close()
}

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
		conn, err := net.Dial(stdcmp.Or(r.Network, "unix"), r.Address)
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
	reexec.NeedRoot(t)
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

// A peer for which a listener has no descriptor left waits, and is served
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
