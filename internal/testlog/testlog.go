// Package testlog reads what a test binary prints with -test.v, and says what is
// wrong with it. It is for tests that run where "go test" cannot be.
package testlog

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Log is what one test binary told.
type Log struct {
	Counts
	Tests   map[string]*Test // that began, by name
	current string           // the test that the lines are of
}

// Test is a test or a subtest.
type Test struct {
	Verdict string   // PASS, FAIL or SKIP, or none if it did not end
	Logged  []string // its messages, the last of which is why it skipped
}

// Counts are the verdicts on tests and their subtests.
type Counts struct {
	Passed, Failed int
	Skipped        []Skip
}

// Skip is a test that did not run, and why.
type Skip struct{ Test, Reason string }

// The beginnings of two reasons to skip: only the machines of make test-kernel have a
// policy that the tests are about.
const (
	NoProfile = "needs a profile of AppArmor: "
	NoPolicy  = "needs a policy of SELinux: "
)

// Add counts what another binary told, too.
func (c *Counts) Add(other Counts) {
	c.Passed += other.Passed
	c.Failed += other.Failed
	c.Skipped = append(c.Skipped, other.Skipped...)
}

func (c Counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, len(c.Skipped))
}

var (
	runningLine = regexp.MustCompile(`^=== (RUN|NAME|CONT) +(\S+)`)
	loggedLine  = regexp.MustCompile(`^    \S+\.go:\d+: (.*)`)
	furtherLine = regexp.MustCompile(`^        (.*)`)
	verdictLine = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (\S+) \(`)
)

// Read takes the next line that the binary printed.
func (l *Log) Read(line string) {
	if m := runningLine.FindStringSubmatch(line); m != nil {
		l.current = m[2]
		if m[1] == "RUN" {
			l.begin(m[2])
		}
		return
	}
	// One that stands elsewhere is what a test says of another.
	if m := verdictLine.FindStringSubmatch(line); m != nil && len(m[1]) == 4*l.level(m[3]) {
		l.judge(m[2], m[3])
		return
	}
	test := l.Tests[l.current]
	if test == nil {
		return
	}
	last := len(test.Logged) - 1
	if m := loggedLine.FindStringSubmatch(line); m != nil {
		test.Logged = append(test.Logged, m[1])
	} else if m := furtherLine.FindStringSubmatch(line); m != nil && last >= 0 {
		test.Logged[last] += "\n" + m[1]
	}
}

// begin finds the test, or starts it.
func (l *Log) begin(name string) *Test {
	if l.Tests == nil {
		l.Tests = map[string]*Test{}
	}
	if l.Tests[name] == nil {
		l.Tests[name] = &Test{}
	}
	return l.Tests[name]
}

// level is how many tests a test is below. A name may have slashes of its own.
func (l *Log) level(name string) (n int) {
	for i, c := range name {
		if c == '/' && l.Tests[name[:i]] != nil {
			n++
		}
	}
	return n
}

// judge counts each verdict, so that two on one test are a complaint. No other takes
// the place of FAIL.
func (l *Log) judge(verdict, name string) {
	test := l.begin(name)
	if test.Verdict != "FAIL" {
		test.Verdict = verdict
	}
	switch verdict {
	case "PASS":
		l.Passed++
	case "FAIL":
		l.Failed++
	case "SKIP":
		reason := ""
		if n := len(test.Logged); n > 0 {
			reason = test.Logged[n-1]
		}
		l.Skipped = append(l.Skipped, Skip{name, reason})
	}
}

// Failures are the names of the tests that failed, in order.
func (l *Log) Failures() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(l.Tests)) {
		if l.Tests[name].Verdict == "FAIL" {
			names = append(names, name)
		}
	}
	return names
}

// Complaints are what is wrong with a binary that exited with code, if anything.
// A test may skip only for a reason that one of expected begins.
func (l *Log) Complaints(code int, expected []string) (list []string) {
	if code != 0 || l.Failed != 0 {
		list = append(list, fmt.Sprintf("exited with %d, and %d tests failed", code, l.Failed))
	}
	return append(list, l.Unaccounted(expected)...)
}

// Unaccounted are the complaints about tests that have neither passed nor failed.
func (l *Log) Unaccounted(expected []string) (list []string) {
	if ended := l.Passed + l.Failed + len(l.Skipped); len(l.Tests) != ended {
		list = append(list, fmt.Sprintf("started %d tests, of which %d ended", len(l.Tests), ended))
	}
	for _, s := range l.Skipped {
		if !slices.ContainsFunc(expected, func(reason string) bool { return strings.HasPrefix(s.Reason, reason) }) {
			list = append(list, fmt.Sprintf("skipped %s, for no reason that is expected: %s", s.Test, s.Reason))
		}
	}
	return list
}
