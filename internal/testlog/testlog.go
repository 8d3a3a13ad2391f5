// Package testlog reads what a test binary prints with -test.v, and says what is
// wrong with it. It is for tests that run where "go test" cannot be.
package testlog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Log is what one test binary told.
type Log struct {
	Counts
	started int
	test    string            // that the lines are of
	reasons map[string]string // what each test logged last, which is why it skipped
}

// Counts are the verdicts on tests and their subtests.
type Counts struct {
	Passed, Failed int
	Skipped        []Skip
}

// Skip is a test that did not run, and why.
type Skip struct{ Test, Reason string }

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
	loggedLine  = regexp.MustCompile(`^ +\S+\.go:\d+: (.*)`)
	verdictLine = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
)

// Read takes the next line that the binary printed.
func (l *Log) Read(line string) {
	if m := runningLine.FindStringSubmatch(line); m != nil {
		l.test = m[2]
		if m[1] == "RUN" {
			l.started++
		}
	} else if m := loggedLine.FindStringSubmatch(line); m != nil {
		if l.reasons == nil {
			l.reasons = map[string]string{}
		}
		l.reasons[l.test] = m[1]
	} else if m := verdictLine.FindStringSubmatch(line); m != nil {
		l.judge(m[1], m[2])
	}
}

func (l *Log) judge(verdict, test string) {
	switch verdict {
	case "PASS":
		l.Passed++
	case "FAIL":
		l.Failed++
	case "SKIP":
		l.Skipped = append(l.Skipped, Skip{test, l.reasons[test]})
	}
}

// Complaints are what is wrong with a binary that exited with code, if anything.
// A test may skip only for a reason that one of expected begins.
func (l *Log) Complaints(code int, expected []string) (list []string) {
	if code != 0 || l.Failed != 0 {
		list = append(list, fmt.Sprintf("exited with %d, and %d tests failed", code, l.Failed))
	}
	if ended := l.Passed + l.Failed + len(l.Skipped); l.started != ended {
		list = append(list, fmt.Sprintf("started %d tests, of which %d ended", l.started, ended))
	}
	for _, s := range l.Skipped {
		if !slices.ContainsFunc(expected, func(reason string) bool { return strings.HasPrefix(s.Reason, reason) }) {
			list = append(list, fmt.Sprintf("skipped %s, for no reason that is expected: %s", s.Test, s.Reason))
		}
	}
	return list
}
