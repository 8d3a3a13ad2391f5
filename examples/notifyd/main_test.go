//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/peercred"
	"example.com/peercred/guard"
	"example.com/peercred/internal/reexec"
)

// notify is a shell command that sends a message as a process of its own, or as the shell.
const (
	notify = `python3 -c 'import os, socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"STATUS=nearly\nREADY=1", os.environ["NOTIFY_SOCKET"])'`
	never  = "sleep 1000"
)

func TestRun(t *testing.T) {
	if process := peercred.Support().Process; !process.Available {
		t.Skipf("needs a handle on the peer's process: %s", process.Reason)
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("needs python3: %v", err)
	}
	for _, test := range []struct {
		name, script string
		cgroup       bool
		want         string // of the error
	}{
		{"the process itself", "exec " + notify, false, ""},
		{"a child", notify, false, "ended before it was ready (exit status 0)"},
		{"a child, by the cgroup", notify, true, ""},
		{"it ends", "exit 3", false, "ended before it was ready (exit status 3)"},
		{"no such command", "", false, "executable file not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cgroup := ""
			if test.cgroup {
				cgroup = makeCgroup(t)
			}
			command := []string{"sh", "-c", test.script}
			if test.script == "" {
				command = []string{"no-such-command"}
			}
			err := run(t.Context(), cgroup, command)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := run(ctx, "", []string{"sh", "-c", "exec " + never}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a service that does not get ready in time: %v", err)
	}
}

// makeCgroup returns the directory of a cgroup that does not exist yet.
func makeCgroup(t *testing.T) string {
	t.Helper()
	reexec.NeedRoot(t)
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		dir, err := os.MkdirTemp(root, "notifyd")
		if err != nil {
			t.Skipf("needs cgroup v2: %v", err)
		}
		t.Cleanup(func() {
			for errors.Is(os.Remove(dir), syscall.EBUSY) { // the service is ending
				runtime.Gosched()
			}
		})
		return dir
	}
	t.Skip("needs cgroup v2")
	return ""
}

// Only the service is believed.
func TestSends(t *testing.T) {
	s := &service{Cmd: exec.Command("sleep", "1000")}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Wait()
	defer s.Process.Kill()
	denied := make(chan *guard.Denied, 1)
	socket, err := guard.ListenPacket(t.Context(), "unixgram", filepath.Join(t.TempDir(), "s"), guard.Config{
		Policy: guard.Func("the service", s.sends), OnDeny: func(d *guard.Denied) { denied <- d },
	})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("needs SO_PASSCRED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if _, err := socket.WriteTo([]byte("READY=1"), socket.LocalAddr()); err != nil { // as ourselves
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := socket.ReadPacket(make([]byte, 100))
		read <- err
	}()
	if d := <-denied; d.Rule != "the service" || d.Failed {
		t.Errorf("%v", d)
	}
	socket.Close()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadPacket: %v, want net.ErrClosed", err)
	}
}
