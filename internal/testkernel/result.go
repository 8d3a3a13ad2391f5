//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// expectedSkips begin the reasons that a test may have not to run in the machine,
// which holds the test binaries and nothing else.
var expectedSkips = []string{
	"needs strace, ",
	"needs a C compiler ",
	"needs SO_PEERPIDFD, ",
	"needs SO_PASSRIGHTS, ",
	"needs the source beside the test: ",
}

// result is what one test binary told.
type result struct {
	run
	counts
	began   time.Time
	started int
	test    string            // that the lines are of
	reasons map[string]string // what each test logged last, which is why it skipped
	exited  bool
	code    int
}

type counts struct {
	passed, failed int
	skipped        []skip
}

type skip struct{ test, reason string }

func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, len(c.skipped))
}

func (s skip) expected() bool {
	return slices.ContainsFunc(expectedSkips, func(reason string) bool { return strings.HasPrefix(s.reason, reason) })
}

func (r *result) begin() { r.began = time.Now() }

func (r *result) exit(code int) {
	r.exited, r.code = true, code
	fmt.Printf("  %s %-9s exits with %d after %.1fs: %s\n", r.Setting, r.Package, code, time.Since(r.began).Seconds(), r.counts)
}

var (
	runningLine = regexp.MustCompile(`^=== (RUN|NAME|CONT) +(\S+)`)
	loggedLine  = regexp.MustCompile(`^ +\S+\.go:\d+: (.*)`)
	verdictLine = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
)

// read takes the next line that the binary printed.
func (r *result) read(line string) {
	if m := runningLine.FindStringSubmatch(line); m != nil {
		r.test = m[2]
		if m[1] == "RUN" {
			r.started++
		}
	} else if m := loggedLine.FindStringSubmatch(line); m != nil {
		r.reasons[r.test] = m[1]
	} else if m := verdictLine.FindStringSubmatch(line); m != nil {
		r.judge(m[1], m[2])
	}
}

func (r *result) judge(verdict, test string) {
	switch verdict {
	case "PASS":
		r.passed++
	case "FAIL":
		r.failed++
	case "SKIP":
		r.skipped = append(r.skipped, skip{test, r.reasons[test]})
	}
}

// complaints are what is wrong with the run, if anything.
func (r *result) complaints() (list []string) {
	if !r.exited {
		return []string{"did not end"}
	}
	if r.code != 0 || r.failed != 0 {
		list = append(list, fmt.Sprintf("exited with %d, and %d tests failed", r.code, r.failed))
	}
	if ended := r.passed + r.failed + len(r.skipped); r.started != ended {
		list = append(list, fmt.Sprintf("started %d tests, of which %d ended", r.started, ended))
	}
	for _, s := range r.skipped {
		if !s.expected() {
			list = append(list, fmt.Sprintf("skipped %s, for no reason that is expected: %s", s.test, s.reason))
		}
	}
	return list
}
