//go:build linux

// Package reexec runs this program, usually a test binary, again as another process: under
// other ids, in other namespaces, or under strace. Test and process take turns. After each
// step the process writes a line to its stdout. It goes on when it reads a line from its
// stdin, or the end of file.
package reexec

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// variable is the environment variable with the role of the process.
const variable = "PEERCRED_TEST_ROLE"

// Main runs the tests, or play if this process was started to play a role. It is
// for TestMain.
func Main[Role any](m *testing.M, play func(Role) error) {
	if !Play(play) {
		os.Exit(m.Run())
	}
}

// Play calls play if this process was started to play a role, and reports whether it was.
// It is for a program's main, which must then return.
func Play[Role any](play func(Role) error) bool {
	text := os.Getenv(variable)
	if text == "" {
		return false
	}
	var role Role
	err := json.Unmarshal([]byte(text), &role)
	if err == nil {
		err = play(role)
	}
	if err != nil {
		fmt.Printf("helper %s: %v\n", text, err)
		os.Exit(1)
	}
	return true
}

// stdin is shared, because a second reader would consume the next line.
var stdin = bufio.NewReader(os.Stdin)

// Step reports to the test that the process has done a step, and waits until it may go on.
func Step(report string) {
	fmt.Println(report)
	stdin.ReadString('\n')
}

// Report sends the test a value, which [Process.Decode] reads.
func Report(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// TakeIDs gives the process a user, a group and supplementary groups. A nil id stays as it
// is. If a group is given, the supplementary groups are replaced.
func TakeIDs(uid, gid *uint32, groups []int) error {
	if gid != nil || len(groups) > 0 {
		if err := syscall.Setgroups(groups); err != nil {
			return fmt.Errorf("setgroups: %w", err)
		}
	}
	if gid != nil {
		if err := syscall.Setresgid(int(*gid), int(*gid), int(*gid)); err != nil {
			return fmt.Errorf("setresgid: %w", err)
		}
	}
	if uid != nil {
		return SetUID(*uid)
	}
	return nil
}

// SetUID gives the process a user.
func SetUID(uid uint32) error {
	if err := syscall.Setresuid(int(uid), int(uid), int(uid)); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	return nil
}

// NeedRoot skips a test that starts processes under other ids, unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start peers under other ids")
	}
}

// Process is a running process that plays a role.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	dead  bool
}

// Option changes how a process is started.
type Option func(*exec.Cmd)

// Start starts a process that plays role, which must encode to JSON. It is killed
// at the end of the test.
func Start(t testing.TB, role any, options ...Option) *Process {
	t.Helper()
	cmd, err := Command(role)
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range options {
		option(cmd)
	}
	p := &Process{t: t, cmd: cmd}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a helper %+v: %v", role, err)
	}
	t.Cleanup(func() {
		if !p.dead {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return p
}

// Command returns the command of a process that plays role, which must encode to JSON.
func Command(role any) (*exec.Cmd, error) {
	environment, err := Environment(role)
	if err != nil {
		return nil, err
	}
	// Do not use the path of the binary, because other users cannot enter its directory.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = environment
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// Environment returns the environment with which this binary plays role. By default the race
// detector sleeps for a second before a process exits, so the environment disables that.
func Environment(role any) ([]string, error) {
	text, err := json.Marshal(role)
	if err != nil {
		return nil, err
	}
	ours := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, variable+"=") })
	return append(ours, variable+"="+string(text), "GORACE=atexit_sleep_ms=0"), nil
}

// PID returns the pid of the process in our pid namespace.
func (p *Process) PID() int32 { return int32(p.cmd.Process.Pid) }

// Expect reads the process's next line.
func (p *Process) Expect(line string) {
	p.t.Helper()
	if got, err := p.out.ReadString('\n'); got != line+"\n" {
		p.t.Fatalf("a helper said %q (%v), want %q", got, err, line)
	}
}

// Decode reads the process's next line, which is JSON.
func (p *Process) Decode(v any) {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), v)
	}
	if err != nil {
		p.t.Fatalf("a helper's report %q: %v", line, err)
	}
}

// Proceed allows the process to go on from its step.
func (p *Process) Proceed() { io.WriteString(p.stdin, "\n") }

// Finish allows the process to end, and waits until it is reaped.
func (p *Process) Finish() {
	p.t.Helper()
	p.EndStdin()
	p.dead = true
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("a helper: %v", err)
	}
}

// EndStdin allows the process to go on from all its steps.
func (p *Process) EndStdin() { p.stdin.Close() }

// Reap waits for a process that a signal ends.
func (p *Process) Reap(signal syscall.Signal) {
	p.t.Helper()
	p.dead = true
	p.cmd.Wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != signal {
		p.t.Errorf("a helper ended with %v, want %v", p.cmd.ProcessState, signal)
	}
}
