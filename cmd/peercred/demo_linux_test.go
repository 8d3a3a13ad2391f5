//go:build cgo || !android

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runningDemo is a demo that stops before each write but the first, until we read.
type runningDemo struct {
	*process
	stdout, stderr *os.File
	tmp            string
}

func startDemo(t *testing.T) runningDemo {
	t.Helper()
	stdout, writeOut := stingyPipe(t)
	stderr, writeErr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d := runningDemo{newProcess(t, "demo"), stdout, stderr, t.TempDir()}
	for _, dir := range []string{d.tmp + "/..", d.tmp} { // for clients under other users
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.Env = append(d.Env, "TMPDIR="+d.tmp)
	d.Stdout, d.Stderr = writeOut, writeErr
	d.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a shell gives it a process group
	err = d.Start()
	writeOut.Close()
	writeErr.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Process.Kill()
		stdout.Close()
		stderr.Close()
	})
	return d
}

// stingyPipe has room for one write, and the reader gets what one write wrote.
func stingyPipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_DIRECT); err != nil {
		t.Fatalf("pipe2(O_DIRECT): %v", err)
	}
	read, write = os.NewFile(uintptr(fds[0]), "read"), os.NewFile(uintptr(fds[1]), "write")
	if _, err := unix.FcntlInt(read.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatalf("fcntl(F_SETPIPE_SZ): %v", err)
	}
	return read, write
}

// read returns what one write of the demo wrote, nothing at the end.
func (d runningDemo) read(t *testing.T) string {
	t.Helper()
	text := make([]byte, 1<<16)
	n, err := d.stdout.Read(text)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(text[:n])
}

// end waits for the demo, and for every process that it started, which all have its stderr.
// It reports whether they ended before the demo.
func (d runningDemo) end(t *testing.T) (code int, stderr string, first bool) {
	t.Helper()
	d.Wait()
	first = isAtEnd(t, d.stderr, &stderr)
	if err := d.stderr.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(d.stderr)
	if err != nil {
		t.Fatalf("a process of the demo still runs: %v", err)
	}
	return d.ProcessState.ExitCode(), stderr + string(rest), first
}

// isAtEnd reads what is there, and reports whether nobody can write any more.
func isAtEnd(t *testing.T, pipe *os.File, text *string) (end bool) {
	t.Helper()
	raw, err := pipe.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for {
			buffer := make([]byte, 4096)
			n, err := unix.Read(int(fd), buffer)
			if n <= 0 {
				end = n == 0 && err == nil
				return
			}
			*text += string(buffer[:n])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// demoWrites is how often the demo writes: the agreement, the server, and each client.
func demoWrites() int {
	if os.Geteuid() == 0 {
		return 5
	}
	return 4 // and what root would see
}

func TestDemo(t *testing.T) {
	d := startDemo(t)
	var all strings.Builder
	for n := range demoWrites() + 1 {
		said := d.read(t)
		if (said == "") != (n == demoWrites()) {
			t.Errorf("write %d is %q, want %d in all", n, said, demoWrites())
		}
		all.WriteString(said)
	}
	text := all.String()
	code, stderr, first := d.end(t)
	us := fmt.Sprintf("connects as uid=%d gid=%d; the kernel says pid=", os.Geteuid(), os.Getegid())
	for _, want := range []string{"A server asks", "AGREE\n", "listens on " + d.tmp, us} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if want := map[bool]int{true: 3, false: 1}[os.Geteuid() == 0]; strings.Count(text, "a client, pid ") != want {
		t.Errorf("want %d clients", want)
	}
	if code != 0 || stderr != "" || !first {
		t.Errorf("exit %d, %s, its processes ended first: %v; want 0, nothing, true", code, stderr, first)
	}
	if t.Failed() {
		t.Log(text)
	}
	assertEmpty(t, d.tmp)
}

// The demo leaves no process, socket or directory, whenever and however it is interrupted.
func TestDemoInterrupted(t *testing.T) {
	leave := func(d runningDemo) { d.stdout.Close() } // as head(1) does
	send := func(signal unix.Signal) func(runningDemo) {
		return func(d runningDemo) { d.Process.Signal(signal) }
	}
	for _, test := range []struct {
		name   string
		end    func(runningDemo)
		code   int
		stderr string
		first  bool // its processes end before it
	}{
		{"its reader leaves", leave, exitPipe, "", true},
		{"SIGINT", send(unix.SIGINT), 1, "peercred demo: interrupted\n", true},
		{"SIGTERM", send(unix.SIGTERM), 1, "peercred demo: interrupted\n", true},
		{"SIGHUP", send(unix.SIGHUP), 1, "peercred demo: interrupted\n", true},
		{"SIGKILL", send(unix.SIGKILL), -1, "", false},
		{"SIGKILL to its group", func(d runningDemo) { unix.Kill(-d.Process.Pid, unix.SIGKILL) }, -1, "", false},
	} {
		for writes := range demoWrites() - 1 { // then it may have ended
			d := startDemo(t)
			for range writes {
				d.read(t)
			}
			test.end(d)
			code, stderr, first := d.end(t)
			if writes == 0 && code == -1 {
				code, stderr = test.code, test.stderr // the signal came before the demo could catch it
			}
			if code != test.code || stderr != test.stderr || test.first && !first {
				t.Errorf("%s after %d writes: exit %d, %q, its processes ended first: %v; want %d, %q, %v",
					test.name, writes, code, stderr, first, test.code, test.stderr, test.first)
			}
			assertEmpty(t, d.tmp)
		}
	}
}

// beCommand makes the processes that the test itself starts the command.
func beCommand(t *testing.T) {
	t.Setenv(commandVariable, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
}

// An interrupt ends the demo even if nobody reads its output.
func TestDemoInterruptedAsItWrites(t *testing.T) {
	beCommand(t)
	for writes := 1; writes <= demoWrites(); writes++ {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		for _, dir := range []string{tmp + "/..", tmp} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		ctx, interrupt := context.WithCancel(t.Context())
		n := 0
		var stderr bytes.Buffer
		code := run(ctx, []string{"demo"}, writerFunc(func(text []byte) (int, error) {
			if n++; n == writes {
				interrupt()
				<-t.Context().Done()
			}
			return len(text), nil
		}), &stderr)
		if code != 1 || stderr.String() != "peercred demo: interrupted\n" {
			t.Errorf("in write %d: exit %d, %q, want 1 and that it was interrupted", writes, code, &stderr)
		}
		assertEmpty(t, tmp)
	}
}

// If the demo fails, the error says what to do.
func TestDemoFails(t *testing.T) {
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{filepath.Join(closed, "none"): "no such file or directory: this command makes a socket in TMPDIR, which is " + closed + "/none: set TMPDIR to a directory that it can write"}
	if os.Geteuid() == 0 {
		tests[closed] = "connect: permission denied: every user must be able to enter TMPDIR"
	}
	beCommand(t)
	for tmp, want := range tests {
		t.Setenv("TMPDIR", tmp)
		if code, stdout, stderr := runArgs("demo"); code != 1 || !strings.Contains(stdout+stderr, want) {
			t.Errorf("with TMPDIR=%s: exit %d, %s%s; want 1 and %q", tmp, code, stdout, stderr, want)
		}
		assertEmpty(t, closed)
	}
}

// Root of a user namespace without other users shows its own client alone.
func TestDemoWithoutOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, so that a user namespace maps the owner of /")
	}
	p := newProcess(t, "demo")
	p.Env = append(p.Env, "TMPDIR="+t.TempDir())
	p.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	p.Path = "/proc/self/exe"
	out, err := p.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSPC):
		t.Skipf("needs a user namespace: %v", err)
	case p.Process == nil:
		t.Fatalf("start a helper in a user namespace: %v", err)
	}
	if err != nil || strings.Count(string(out), "\na client, pid ") != 1 || strings.Count(string(out), "\nno client connects as uid=") != 2 {
		t.Errorf("%v, want one client and two that are left out:\n%s", err, out)
	}
}
