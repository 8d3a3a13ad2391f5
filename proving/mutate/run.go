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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The limits of each run of a test program: the bytes of address space of each of its
// processes, and the time in addition to ten times that of the tests without a mutant.
const memory = 4 << 30

var patience = 20 * time.Second

// program is a compiled test program.
type program struct {
	path   string
	dir    string // the folder in which it runs
	env    []string
	only   string   // the tests to run
	phases [][]test // the tests that pass without a mutant: the quicker half, half of the others, ...
}

type test struct {
	name string
	took time.Duration // without a mutant
}

var (
	verdict = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)
	began   = regexp.MustCompile(`(?m)^=== RUN   ([^/\s]+)$`)
)

// measure runs all tests without a mutant, and sets the phases. It returns the tests that
// fail. They are left out from then on.
func (p *program) measure(ctx context.Context) (failed []string, err error) {
	out, err := p.run(ctx, 0, "-test.v", "-test.run="+p.only)
	if ctx.Err() != nil {
		return nil, ctx.Err()
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
		half := (len(passed) + 1) / 2
		p.phases, passed = append(p.phases, passed[:half]), passed[half:]
	}
	return failed, nil
}

// kill runs the tests on mutant id, or on the one that was compiled alone. It returns the
// test that fails, or "" if the mutant survives. A test must fail twice, because one failure
// can be due to a slow machine.
func (p *program) kill(ctx context.Context, id int) (string, error) {
	for _, tests := range p.phases {
		for len(tests) > 0 {
			by := p.fails(ctx, id, tests)
			if by == "" {
				break
			}
			again := tests // after a crash, or if no test had begun
			if i := slices.IndexFunc(tests, func(t test) bool { return t.name == by }); i >= 0 {
				again = tests[i : i+1]
			}
			if p.fails(ctx, id, again) != "" {
				return by, ctx.Err()
			}
			tests = slices.DeleteFunc(slices.Clone(tests), func(t test) bool { return slices.Contains(again, t) })
		}
	}
	return "", ctx.Err()
}

// fails runs tests. It returns the one that fails or that runs when the time ends, or says
// that the program crashed.
func (p *program) fails(ctx context.Context, id int, tests []test) string {
	limit, names := patience, ""
	for _, t := range tests {
		limit, names = limit+10*t.took, names+"|"+t.name
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := p.run(ctx, id, "-test.v", "-test.failfast", "-test.run=^("+names[1:]+")$")
	if err == nil {
		return ""
	}
	for _, m := range verdict.FindAllSubmatch(out, -1) {
		if string(m[1]) == "FAIL" {
			return string(m[2])
		}
	}
	last := "no test"
	if all := began.FindAllSubmatch(out, -1); len(all) > 0 {
		last = string(all[len(all)-1][1])
	}
	if ctx.Err() == nil { // a process that an earlier test started can be the cause
		return "a crash in " + last
	}
	return last
}

var runs atomic.Int32

// run runs the program in a process group and with a folder for temporary files. Afterwards
// it kills the group and removes the folder.
func (p *program) run(ctx context.Context, id int, arguments ...string) ([]byte, error) {
	// Other users can enter it, and its path is short enough for sockets.
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
	// No other group can get its number until it is reaped.
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-ended
	err := cmd.Wait()
	return out.Bytes(), errors.Join(err, ctx.Err())
}
