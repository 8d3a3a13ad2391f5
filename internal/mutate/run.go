//go:build linux && (cgo || !android)

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

// outcome is what became of a mutant.
type outcome string

const (
	killed       outcome = "killed"
	timedOut     outcome = "timed out" // killed, too
	uncompilable outcome = "uncompilable"
	survived     outcome = "survived"
)

// test is one of a binary's, and how long it takes without a mutation.
type test struct {
	name string
	took time.Duration
}

// turns are when the tests have theirs, the quickest first: those that together take a
// twentieth of the time of all, those that take a quarter, and the rest.
func turns(tests []test) map[test]int {
	sorted := slices.SortedFunc(slices.Values(tests), func(a, b test) int { return cmp.Compare(a.took, b.took) })
	var all, some time.Duration
	for _, t := range sorted {
		all += t.took
	}
	turn := map[test]int{}
	for _, t := range sorted {
		switch some += t.took; {
		case some <= all/20:
			turn[t] = 0
		case some <= all/4:
			turn[t] = 1
		default:
			turn[t] = lastTurn
		}
	}
	return turn
}

const lastTurn = 2

var (
	verdict = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)
	failure = regexp.MustCompile(`(?m)^\s*(--- FAIL: \S+|panic: .*|fatal error: .*|FAIL: .*)`)
)

// measure runs all tests without a mutation, and returns those that pass and the names
// of those that fail.
func (b *binary) measure(ctx context.Context, tmp string) (passed []test, failed []string, err error) {
	only := b.only
	if only == "" {
		only = "."
	}
	out, err := b.run(ctx, tmp, "-test.v", "-test.run="+only)
	for _, m := range verdict.FindAllSubmatch(out, -1) {
		name := string(m[2])
		seconds, _ := strconv.ParseFloat(string(m[3]), 64)
		switch string(m[1]) {
		case "PASS":
			passed = append(passed, test{name, time.Duration(seconds * float64(time.Second))})
		case "FAIL":
			failed = append(failed, name)
		}
	}
	if err != nil && len(failed) == 0 || len(passed) == 0 {
		return nil, nil, fmt.Errorf("%s: %w\n%s", b.path, errors.Join(err, errors.New("no test failed, and yet it did not pass")), out)
	}
	return passed, failed, nil
}

// failAgain tells whether any of these fails a second time.
func (b *binary) failAgain(ctx context.Context, tmp string, failed []string) bool {
	_, err := b.run(ctx, tmp, "-test.run=^("+strings.Join(failed, "|")+")$")
	return err != nil
}

var runs atomic.Int32

// run runs a binary by itself: in a process group that ends with it, with a folder for
// temporary files that does too.
func (b *binary) run(ctx context.Context, tmp string, arguments ...string) ([]byte, error) {
	// As open as /tmp, with a path that is hardly longer.
	dir := filepath.Join(tmp, strconv.Itoa(int(runs.Add(1))))
	if err := os.Mkdir(dir, 0o777); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(b.path)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Dir = b.dir
	cmd.Env = append(append(os.Environ(), "TMPDIR="+dir), b.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var ended atomic.Bool
	cmd.Cancel = func() error {
		if ended.Load() {
			return os.ErrProcessDone
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// As long as it is not reaped, no other group can have its number.
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	ended.Store(true)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a failed test left
	err = cmd.Wait()
	return out.Bytes(), err
}

// suite is binaries with the tests that pass in them.
type suite struct {
	binaries []*binary
	tests    map[*binary][]test
	tmp      string
}

// phase is some tests of one binary.
type phase struct {
	*binary
	names []string
	took  time.Duration
}

// phases are all tests, in the order in which they are worth their time.
func (s *suite) phases() (phases []phase) {
	for turn := range lastTurn + 1 {
		for _, b := range s.binaries {
			p := phase{binary: b}
			of := turns(s.tests[b])
			for _, t := range s.tests[b] {
				if of[t] == turn {
					p.names = append(p.names, regexp.QuoteMeta(t.name))
					p.took += t.took
				}
			}
			if len(p.names) > 0 {
				phases = append(phases, p)
			}
		}
	}
	return phases
}

// try runs the tests on a mutant, of those that the binaries hold if id is not 0.
func (s *suite) try(ctx context.Context, id int) (o outcome, by string, err error) {
	hung := ""
	for _, p := range s.phases() {
		b := *p.binary
		b.env = append(slices.Clip(b.env), variable+"="+strconv.Itoa(id))
		for len(p.names) > 0 {
			out, late, err := b.tryTests(ctx, s.tmp, p)
			switch {
			case ctx.Err() != nil:
				return "", "", ctx.Err()
			case late && hung != "": // twice is enough
				return timedOut, hung, nil
			case late: // which can be the machine's fault: better a test that fails
				hung, p.names = afterHang(out, p.names)
				continue
			case err != nil && !b.fails(ctx, s.tmp, out):
				p.names = slices.DeleteFunc(slices.Clone(p.names), func(name string) bool { return name == regexp.QuoteMeta(failedTest(out)) })
				continue
			case err != nil:
				return killed, strings.TrimSpace(string(failure.Find(out))), nil
			}
			break
		}
		if hung != "" {
			return timedOut, hung, nil
		}
	}
	return survived, "", nil
}

// tryTests runs a phase's tests, until one fails or they are late.
func (b *binary) tryTests(ctx context.Context, tmp string, p phase) (out []byte, late bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second+10*p.took)
	defer cancel()
	out, err = b.run(ctx, tmp, "-test.v", "-test.failfast", "-test.run=^("+strings.Join(p.names, "|")+")$")
	return out, ctx.Err() != nil, err
}

// fails tells whether the test that failed fails again, alone. One that does not has met
// a slow machine, and no mutant.
func (b *binary) fails(ctx context.Context, tmp string, out []byte) bool {
	name := failedTest(out)
	if name == "" { // the program crashed
		return true
	}
	_, _, err := b.tryTests(ctx, tmp, phase{names: []string{regexp.QuoteMeta(name)}, took: 10 * time.Second})
	return err != nil
}

var top = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

func failedTest(out []byte) string {
	if m := top.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return ""
}

var begun = regexp.MustCompile(`(?m)^=== RUN   ([^/\s]+)$`)

// afterHang returns the test that ran last, and those that did not have their turn.
func afterHang(out []byte, names []string) (hung string, others []string) {
	ran := map[string]bool{}
	for _, m := range begun.FindAllSubmatch(out, -1) {
		hung = string(m[1])
		ran[regexp.QuoteMeta(hung)] = true
	}
	return cmp.Or(hung, "no test"), slices.DeleteFunc(slices.Clone(names), func(name string) bool { return ran[name] })
}
