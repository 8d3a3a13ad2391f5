//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// commandVariable makes the test binary the command.
const commandVariable = "PEERCRED_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func runArgs(args ...string) (code int, stdout, stderr string) {
	var out, complaints bytes.Buffer
	code = run(context.Background(), args, &out, &complaints)
	return code, out.String(), complaints.String()
}

func TestUsage(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string // what they contain; nothing at all if empty
	}{
		{nil, 2, "", "Usage: peercred"},
		{[]string{"--help"}, 0, "Exit status", ""},
		{[]string{"-h"}, 0, "Exit status", ""},
		{[]string{"help"}, 0, "Exit status", ""},
		{[]string{"steal"}, 2, "", `no command "steal"`},
		{[]string{"check", "--help"}, 0, "-json", ""},
		{[]string{"listen", "--help"}, 0, "-mode MODE", ""},
		{[]string{"dial", "-h"}, 0, "Usage: peercred dial", ""},
		{[]string{"check", "extra"}, 2, "", "1 operands, want 0"},
		{[]string{"listen"}, 2, "", "0 operands, want 1"},
		{[]string{"listen", "a", "b"}, 2, "", "2 operands, want 1"},
		{[]string{"listen", "--mode", "rw", socket}, 2, "", "octal"},
		{[]string{"listen", "--mode", "1777", socket}, 2, "", "octal"},
		{[]string{"listen", "--mode", "0666", "@x"}, 2, "", "no mode"},
		{[]string{"dial", "--once", socket}, 2, "", "-once"},
		{[]string{"dial", socket}, 1, "", "no such file"},
		{[]string{"listen", filepath.Join(socket, "s")}, 1, "", "no such file"},
	} {
		code, stdout, stderr := runArgs(test.args...)
		if code != test.code || !contains(stdout, test.stdout) || !contains(stderr, test.stderr) {
			t.Errorf("peercred %q: exit %d, stdout %q, stderr %q; want %d, %q, %q", test.args, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}

func contains(text, want string) bool {
	return want == "" && text == "" || want != "" && strings.Contains(text, want)
}

func TestCheck(t *testing.T) {
	code, stdout, stderr := runArgs("check", "--json")
	var got report
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("exit %d, stdout %q, stderr %q: %v", code, stdout, stderr, err)
	}
	want := report{System: runtime.GOOS + "/" + runtime.GOARCH, Kernel: kernelRelease(), Linked: peercred.Implementation, Agree: true}
	for _, i := range implementations {
		self := &peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
		if runtime.GOOS == "dragonfly" {
			self.PID = 0
		}
		want.Rows = append(want.Rows, answer{Implementation: i.name, Call: i.call, PeerCredentials: self, Agree: true})
	}
	if diff := cmp.Diff(want, got); diff != "" || code != 0 {
		t.Errorf("exit %d, stderr %q (-want +got):\n%s", code, stderr, diff)
	}

	code, stdout, _ = runArgs("check")
	if lines := strings.Count(stdout, "\n"); code != 0 || lines != 1+len(implementations) || strings.Count(stdout, "yes\n") != len(implementations) {
		t.Errorf("exit %d:\n%s\nwant a heading and %d lines that end in yes", code, stdout, len(implementations))
	}
}

// check exits with 1 when an implementation does not answer, answers something
// else than the others, or all answer what is not true.
func TestCheckFails(t *testing.T) {
	right := func(int) (int32, uint32, uint32, error) {
		return int32(os.Getpid()), uint32(os.Geteuid()), uint32(os.Getegid()), nil
	}
	withoutPID := func(int) (int32, uint32, uint32, error) { return 0, uint32(os.Geteuid()), uint32(os.Getegid()), nil }
	stranger := func(int) (int32, uint32, uint32, error) { return 1, 4242, 4242, nil }
	refuses := func(int) (int32, uint32, uint32, error) { return 0, 0, 0, unix.ENOPROTOOPT }
	goodKernel := func() (bool, error) { return false, nil }
	badKernel := func() (bool, error) { return true, nil }
	blindKernel := func() (bool, error) { return false, unix.EMFILE }
	defer func(saved []implementation) { implementations = saved }(implementations)
	for _, test := range []struct {
		name string
		rows []implementation
		code int
		says string
	}{
		{"two that are right", []implementation{{"a", "", right, goodKernel}, {"b", "", right, goodKernel}}, 0, "yes"},
		{"one tells no pid", []implementation{{"a", "", right, goodKernel}, {"b", "", withoutPID, goodKernel}}, 1, "no"},
		{"both tell no pid", []implementation{{"a", "", withoutPID, goodKernel}, {"b", "", withoutPID, goodKernel}}, 0, "yes"},
		{"one is wrong", []implementation{{"a", "", right, goodKernel}, {"b", "", stranger, goodKernel}}, 1, "4242"},
		{"both are wrong", []implementation{{"a", "", stranger, goodKernel}, {"b", "", stranger, goodKernel}}, 1, "4242"},
		{"one does not answer", []implementation{{"a", "", right, goodKernel}, {"b", "", refuses, goodKernel}}, 1, "b: protocol not available"},
		{"none answers", []implementation{{"a", "", refuses, goodKernel}}, 1, "a: protocol not available"},
		{"a kernel that answers for the caller", []implementation{{"a", "", right, badKernel}}, 1, "names the caller"},
		{"a kernel that cannot be asked", []implementation{{"a", "", right, blindKernel}}, 1, "could not be found out"},
		{"nobody to ask", nil, 1, "AGREES"},
	} {
		implementations = test.rows
		if code, stdout, _ := runArgs("check"); code != test.code || !strings.Contains(stdout, test.says) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", test.name, code, test.code, test.says, stdout)
		}
		if code, stdout, _ := runArgs("check", "--json"); code != test.code || !strings.Contains(stdout, `"agree"`) {
			t.Errorf("%s: exit %d with --json, want %d:\n%s", test.name, code, test.code, stdout)
		}
	}
}

// process is the command in a process of its own.
type process struct {
	*exec.Cmd
	stdout, stderr *bufio.Reader
}

// newProcess is the command, not started yet.
func newProcess(t *testing.T, args ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(executable, args...)}
	p.Env = append(os.Environ(), commandVariable+"=1", "GORACE=atexit_sleep_ms=0")
	return p
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := newProcess(t, args...)
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.stderr = bufio.NewReader(stdout), bufio.NewReader(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

// startListener starts "peercred listen" and waits until it listens.
func startListener(t *testing.T, args ...string) *process {
	t.Helper()
	p := start(t, append([]string{"listen"}, args...)...)
	if line, err := p.stderr.ReadString('\n'); !strings.HasPrefix(line, "listening on ") {
		t.Fatalf("peercred listen %q said %q, %v", args, line, err)
	}
	return p
}

func (p *process) end(t *testing.T) (code int, stdout, stderr string) {
	t.Helper()
	out, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	complaints, err := io.ReadAll(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	return p.ProcessState.ExitCode(), string(out), string(complaints)
}

func TestListenAndDial(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("NetBSD's dialling end is told its own ids, so dial refuses")
	}
	addresses := []string{filepath.Join(t.TempDir(), "s")}
	if runtime.GOOS == "linux" {
		addresses = append(addresses, "@peercred-listen-"+filepath.Base(t.TempDir())+"-"+t.Name())
	}
	for _, address := range addresses {
		listener := startListener(t, "--once", "--json", address)
		dialer := start(t, "dial", "--json", address)
		dialCode, dialSaw, dialSaid := dialer.end(t)
		listenCode, listenSaw, listenSaid := listener.end(t)
		if dialCode != 0 || listenCode != 0 {
			t.Fatalf("%s: dial: exit %d, %s%s\nlisten: exit %d, %s%s", address, dialCode, dialSaw, dialSaid, listenCode, listenSaw, listenSaid)
		}
		for name, test := range map[string]struct {
			saw string
			pid int
		}{"dial": {dialSaw, listener.Process.Pid}, "listen": {listenSaw, dialer.Process.Pid}} {
			var got peer
			if err := json.Unmarshal([]byte(test.saw), &got); err != nil {
				t.Errorf("%s printed %q: %v", name, test.saw, err)
				continue
			}
			want := newPeer(&peercred.PeerCredentials{PID: int32(test.pid), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})
			if runtime.GOOS == "dragonfly" {
				want.PID = 0
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s on %s (-want +got):\n%s", name, address, diff)
			}
		}
	}
}

func TestPeerText(t *testing.T) {
	root := newPeer(&peercred.PeerCredentials{PID: 12, UID: 0, GID: 4294967294})
	if got, want := root.String(), "pid=12 uid=0(root) gid=4294967294"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What ends the command removes its socket file.
func TestInterruptRemovesSocketFile(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		path := filepath.Join(t.TempDir(), "s")
		p := startListener(t, path)
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
		p.Process.Signal(signal)
		code, stdout, stderr := p.end(t)
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) || code != 0 || stdout+stderr != "" {
			t.Errorf("%v: exit %d, %s%s, Lstat says %v; want 0, nothing, and no file", signal, code, stdout, stderr, err)
		}
		assertEmpty(t, filepath.Dir(path))
	}
}

// So does a reader of its output that has gone away.
func TestBrokenPipeRemovesSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, "listen", path)
	p.Stdout = write
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.Process.Kill()
	write.Close()
	read.Close()
	complaints := bufio.NewReader(stderr)
	if _, err := complaints.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said, _ := io.ReadAll(complaints)
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(said), "broken pipe") {
		t.Errorf("exit %d, %s, want 1 and a broken pipe", code, said)
	}
	assertEmpty(t, filepath.Dir(path))
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s holds %v, %v, want nothing", dir, entries, err)
	}
}
