//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dial reports what each kind of server does.
func TestDialWaits(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so dial denies the server")
	}
	long := []string{"--timeout", "1m"} // for a slow machine
	for _, test := range []struct {
		name   string
		serve  func(*net.UnixListener) // the test's end closes what it leaves open
		args   []string
		code   int
		stderr string
	}{
		{"sends something", func(l *net.UnixListener) { accept(t, l).Write([]byte("x")) }, long, 0, ""},
		{"sends something and closes", func(l *net.UnixListener) {
			conn := accept(t, l)
			conn.Write([]byte("welcome"))
			conn.Close()
		}, long, 0, ""},
		{"closes", func(l *net.UnixListener) { accept(t, l).Close() }, long, 1, "denied: the server closed the connection"},
		{"ends before it accepts", func(l *net.UnixListener) { awaitClient(t, l); l.Close() }, long, 1, "denied: the server closed the connection"},
		{"waits for a request", func(l *net.UnixListener) { accept(t, l) }, []string{"--timeout", "50ms"}, 0, "kept the connection open for 50ms"},
		{"does not accept", func(*net.UnixListener) {}, []string{"--timeout", "50ms"}, 0, "has not looked yet"},
		{"is not waited for", func(*net.UnixListener) {}, []string{"--timeout", "0"}, 0, ""},
	} {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { defer close(served); test.serve(listener) }()
		code, stdout, stderr := runArgs(append([]string{"dial", path}, test.args...)...)
		<-served
		listener.Close()
		if code != test.code || !strings.HasPrefix(stdout, "pid=") || !contains(stderr, test.stderr) {
			t.Errorf("a server that %s: exit %d, %s%s; want %d, its ids, and %q", test.name, code, stdout, stderr, test.code, test.stderr)
		}
	}
}

func accept(t *testing.T, listener *net.UnixListener) net.Conn {
	conn, err := listener.Accept()
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// awaitClient waits until a client can be accepted.
func awaitClient(t *testing.T, listener *net.UnixListener) {
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	err = raw.Control(func(fd uintptr) {
		for interrupted := error(unix.EINTR); interrupted == unix.EINTR; {
			_, interrupted = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDialIsDeniedByListen(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so dial denies the server")
	}
	path := filepath.Join(t.TempDir(), "s")
	startListener(t, path, "--allow-uid", strconv.Itoa(os.Geteuid()+1))
	for range 20 { // it must not depend on who is faster
		code, stdout, stderr := runArgs("dial", path, "--timeout", "1m")
		if code != 1 || !strings.HasPrefix(stdout, "pid=") || !strings.Contains(stderr, "denied: the server closed the connection") {
			t.Fatalf("exit %d, %s%s; want 1, the server's ids, and that it denied us", code, stdout, stderr)
		}
	}
}

// An interrupt ends the wait.
func TestDialInterrupted(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so dial denies the server")
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"dial", path, "--timeout", "1h"}, writerFunc(func(text []byte) (int, error) {
		interrupt() // once the server is shown
		return stdout.Write(text)
	}), &stderr)
	if code != 1 || !strings.HasPrefix(stdout.String(), "pid=") || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit %d, %s%s; want 1, the server's ids, and that it was interrupted", code, &stdout, &stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }
