//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The limits of each run of a test program: bytes of address space of each of its
// processes, and time beyond ten times what the tests take without a mutant.
const memory = 4 << 30

var patience = 20 * time.Second

// program is a compiled test program.
type program struct {
	path   string
	dir    string // to run it in
	env    []string
	only   string  // the tests that matter
	phases []phase // the tests that pass without a mutant: the quicker half, half of the others, ...
}

type phase struct {
	tests []string
	took  time.Duration
}

var (
	verdict = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)
	began   = regexp.MustCompile(`(?m)^=== RUN   ([^/\s]+)$`)
)

// measure runs all tests without a mutant, and sets the phases. It returns the tests that
// fail, which are left out from then on.
func (p *program) measure(ctx context.Context) (failed []string, err error) {
	out, err := p.run(ctx, 0, "-test.v", "-test.run="+p.only)
	type test struct {
		name string
		took time.Duration
	}
	var passed []test
	for _, m := range verdict.FindAllSubmatch(out, -1) {
		took, _ := time.ParseDuration(string(m[3]) + "s")
		switch string(m[1]) {
		case "PASS":
			passed = append(passed, test{string(m[2]), took})
		case "FAIL":
			failed = append(failed, string(m[2]))
		}
	}
	if err != nil && failed == nil || passed == nil {
		return nil, fmt.Errorf("%s: no test failed, and yet the tests did not pass: %w\n%s", p.path, err, out)
	}
	slices.SortFunc(passed, func(a, b test) int { return cmp.Compare(a.took, b.took) })
	for len(passed) > 0 {
		var ph phase
		half := (len(passed) + 1) / 2
		for _, t := range passed[:half] {
			ph.tests, ph.took = append(ph.tests, t.name), ph.took+t.took
		}
		p.phases, passed = append(p.phases, ph), passed[half:]
	}
	return failed, nil
}

// kill runs the tests on mutant id, or on the one that was compiled alone, and returns the
// test that fails. A test that fails must fail twice, since one failure can be the fault of
// a slow machine. It returns "" if the mutant survives.
func (p *program) kill(ctx context.Context, id int) (string, error) {
	for _, ph := range p.phases {
		for len(ph.tests) > 0 {
			by := p.fails(ctx, id, ph)
			if by == "" {
				break
			}
			again := phase{[]string{by}, max(ph.took, 10*time.Second)}
			if !slices.Contains(ph.tests, by) { // no test had begun
				again.tests = ph.tests
			}
			if p.fails(ctx, id, again) != "" {
				return by, ctx.Err()
			}
			ph.tests = slices.DeleteFunc(slices.Clone(ph.tests), func(name string) bool { return slices.Contains(again.tests, name) })
		}
	}
	return "", ctx.Err()
}

// fails runs tests, and returns the one that fails, or that runs when the program crashes
// or its time ends.
func (p *program) fails(ctx context.Context, id int, ph phase) string {
	ctx, cancel := context.WithTimeout(ctx, patience+10*ph.took)
	defer cancel()
	out, err := p.run(ctx, id, "-test.v", "-test.failfast", "-test.run=^("+strings.Join(ph.tests, "|")+")$")
	if err == nil {
		return ""
	}
	for _, m := range verdict.FindAllSubmatch(out, -1) {
		if string(m[1]) == "FAIL" {
			return string(m[2])
		}
	}
	if all := began.FindAllSubmatch(out, -1); len(all) > 0 {
		return string(all[len(all)-1][1])
	}
	return "start"
}

var runs atomic.Int32

// run runs the program in a process group and with a folder for temporary files. Both end
// with it.
func (p *program) run(ctx context.Context, id int, arguments ...string) ([]byte, error) {
	// Other users can enter it, and its path is short, as those of sockets must be.
	dir := filepath.Join(temporary, strconv.Itoa(int(runs.Add(1))))
	if err := errors.Join(os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777|os.ModeSticky)); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	limited := fmt.Sprintf(`ulimit -v %d && exec "$@"`, memory>>10)
	cmd := exec.Command("sh", append([]string{"-c", limited, "sh", p.path}, arguments...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), append(p.env, "TMPDIR="+dir, variable+"="+strconv.Itoa(id))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	// No other group can have its number until it is reaped.
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-ended
	err := cmd.Wait()
	return out.Bytes(), errors.Join(err, ctx.Err())
}
