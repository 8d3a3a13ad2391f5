//go:build linux && (cgo || !android)

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/peercred/internal/testlog"
	"github.com/google/go-cmp/cmp"
)

var known = []exception{
	{reason: "no namespaces", says: []string{"invalid argument", "no space"}, tests: []string{"p.TestSpace", "p.TestGroups/17", "other.TestElsewhere"}},
}

// What is as the exceptions say.
const good = `
=== RUN   TestSpace
    a_test.go:1: start: invalid argument
--- FAIL: TestSpace (0.00s)
=== RUN   TestGroups
=== RUN   TestGroups/1
=== RUN   TestGroups/17
=== RUN   TestGroups/17/twice
    a_test.go:2: want 17: invalid argument
--- FAIL: TestGroups (0.00s)
    --- PASS: TestGroups/1 (0.00s)
    --- FAIL: TestGroups/17 (0.00s)
        --- FAIL: TestGroups/17/twice (0.00s)
FAIL
`

func TestUnexpected(t *testing.T) {
	space, _, _ := strings.Cut(good, "=== RUN   TestGroups\n")
	for _, test := range []struct {
		name, output string
		some         bool
		want         []string
	}{
		{"all is as it must be", good, false, nil},
		{"another failure", strings.ReplaceAll(good, "PASS: TestGroups/1 ", "FAIL: TestGroups/1 "), false, []string{"TestGroups/1 failed"}},
		{"another reason", strings.ReplaceAll(good, "start: invalid argument", "wrong uid"), false,
			[]string{`TestSpace failed, and says other than ["invalid argument" "no space"], though no namespaces`}},
		{"another reason below", strings.ReplaceAll(good, "17: invalid argument", "wrong gid"), false,
			[]string{`TestGroups/17/twice failed, and says other than ["invalid argument" "no space"], though no namespaces`}},
		{"another failure besides", strings.ReplaceAll(good, "start: invalid argument", "start: invalid argument\n    a_test.go:3: wrong uid"), false,
			[]string{`TestSpace failed, and says other than ["invalid argument" "no space"], though no namespaces`}},
		{"one reason, and the other", strings.ReplaceAll(good, "start: invalid argument", "start: invalid argument\n    a_test.go:3: no space"), false, nil},
		{"a message of two lines", strings.ReplaceAll(good, "start: invalid argument", "start:\n        invalid argument"), false, nil},
		{"no message", strings.ReplaceAll(good, "    a_test.go:1: start: invalid argument\n", ""), false,
			[]string{`TestSpace failed, and says other than ["invalid argument" "no space"], though no namespaces`}},
		{"it can be answered", strings.ReplaceAll(good, "FAIL: TestSpace", "PASS: TestSpace"), false,
			[]string{"TestSpace is an exception, and passed"}},
		{"no such test", space, false, []string{
			"TestGroups/17 is an exception, and did not run: is there such a test?",
		}},
		{"only some tests", space, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log testlog.Log
			for line := range strings.Lines(test.output) {
				log.Read(strings.TrimSuffix(line, "\n"))
			}
			if diff := cmp.Diff(test.want, unexpected(known, "p", &log, test.some)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBinfmtRule(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "binary")
	header := "\x7fELF\x02\x02\x01\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16" // 64 bits, big-endian, s390x
	if err := os.WriteFile(binary, []byte(header+"and so on"), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = `:peercred:M:0:` +
		`\x7f\x45\x4c\x46\x02\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x16:` +
		`\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff:` +
		`/usr/bin/qemu-s390x:FP`
	got, err := binfmtRule(binary, "/usr/bin/qemu-s390x")
	if got != want || err != nil {
		t.Errorf("binfmtRule = %s, %v, want\n%s", got, err, want)
	}
}

func TestChoose(t *testing.T) {
	names := func(list string) (got []string) {
		some, err := choose(list)
		if err != nil {
			return []string{err.Error()}
		}
		for _, a := range some {
			got = append(got, a.name)
		}
		return got
	}
	if diff := cmp.Diff([]string{"s390x", "arm"}, names("s390x,arm")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`"s390" is no architecture that it knows`}, names("s390")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := len(names("")); got != len(architectures) {
		t.Errorf("all are %d, want %d", got, len(architectures))
	}
}
