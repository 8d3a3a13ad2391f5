//go:build linux && (cgo || !android)

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/peercred/internal/testlog"
	"github.com/google/go-cmp/cmp"
)

var known = []exception{
	{reason: "no namespaces", says: []*regexp.Regexp{saying(".*invalid argument"), saying(".*no space")}, tests: []string{"p.TestSpace", "p.TestGroups/17", "other.TestElsewhere"}},
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
			[]string{`TestSpace failed, and not only for this reason: no namespaces`}},
		{"another reason below", strings.ReplaceAll(good, "17: invalid argument", "wrong gid"), false,
			[]string{`TestGroups/17/twice failed, and not only for this reason: no namespaces`}},
		{"another failure besides", strings.ReplaceAll(good, "start: invalid argument", "start: invalid argument\n    a_test.go:3: wrong uid"), false,
			[]string{`TestSpace failed, and not only for this reason: no namespaces`}},
		{"one reason, and the other", strings.ReplaceAll(good, "start: invalid argument", "start: invalid argument\n    a_test.go:3: no space"), false, nil},
		{"a message of two lines", strings.ReplaceAll(good, "start: invalid argument", "start: invalid argument\n        wrong uid"), false, nil},
		{"the reason below another", strings.ReplaceAll(good, "start: invalid argument", "wrong uid\n        start: invalid argument"), false,
			[]string{`TestSpace failed, and not only for this reason: no namespaces`}},
		{"another failure above", strings.ReplaceAll(good, "--- FAIL: TestGroups (", "=== NAME  TestGroups\n    a_test.go:3: wrong gid\n--- FAIL: TestGroups ("), false,
			[]string{"TestGroups failed"}},
		{"another reason above", strings.ReplaceAll(good, "--- FAIL: TestGroups (", "=== NAME  TestGroups/17\n    a_test.go:3: wrong gid\n--- FAIL: TestGroups ("), false,
			[]string{`TestGroups/17 failed, and not only for this reason: no namespaces`}},
		{"the reason above, too", strings.ReplaceAll(good, "--- FAIL: TestGroups (", "=== NAME  TestGroups/17\n    a_test.go:3: no space\n--- FAIL: TestGroups ("), false, nil},
		{"no message", strings.ReplaceAll(good, "    a_test.go:1: start: invalid argument\n", ""), false,
			[]string{`TestSpace failed, and not only for this reason: no namespaces`}},
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

// What a test of an exception says under qemu-user is explained, and nothing like it.
func TestExplains(t *testing.T) {
	const noInfo = "native, of a process that is alive (-want +got):\n" +
		"  peercred_test.processAnswer{\n" +
		"  \tExited: false,\n" +
		"- \tPID:    24120,\n" +
		"+\u00a0\tPID:    0,\n" +
		"  \tIDs: [8]uint32{\n" +
		"  \t\t... // 2 identical elements\n" +
		"- \t\t17,\n" +
		"+ \t\t0,\n" +
		"  \t},\n" +
		"  \tExitedErr: \"\",\n" +
		"- \tPIDErr:    \"\",\n" +
		"+ \tPIDErr:    \"function not implemented\",\n" +
		"- \tIDsErr:    \"\",\n" +
		"+ \tIDsErr:    \"function not implemented\",\n" +
		"  \tSignal:    \"\",\n" +
		"  }"
	const executed = "Cmdline after execve: <nil> (-want +got):\n" +
		"  []string{\n" +
		"+ \t\"/usr/bin/qemu-aarch64\",\n" +
		"+ \t\"/tmp/peercred.test\",\n" +
		"  \t\"another name\",\n" +
		"  }"
	without := func(text, line string) string { return strings.Replace(text, line, "", 1) }
	for _, test := range []struct {
		name, test, message string
		want                bool
	}{
		{"no helper", "guard.TestOverflowIDs", "start a helper {Do:connect}: fork/exec /proc/self/exe: invalid argument", true},
		{"another errno", "guard.TestOverflowIDs", "start a helper {Do:connect}: fork/exec /proc/self/exe: permission denied", false},
		{"another message with it", "guard.TestOverflowIDs", "uid 0, fork/exec /proc/self/exe: invalid argument", false},

		{"groups of a leaf", "peercred.TestGroups/unix,_17", "native.Groups: 0 groups, protocol error, want 17 groups, <nil>", true},
		{"groups", "peercred.TestGroups/unix,_17", "GetPeerGroups, after the peer died: 0 groups, failed to get the peer's groups: linux: getsockopt(SO_PEERGROUPS): protocol error, want 17", true},
		{"groups, and an error", "peercred.TestGroups/unix,_17", "native.Groups: 17 groups, protocol error, want 17 groups, <nil>", false},
		{"EPROTO of another call", "peercred.TestGroups/unix,_17", "GetPeerGroups, after the peer died: 0 groups, failed to get the peer's groups: linux: find out the descriptor's family: protocol error, want 17", false},
		{"allocations", "peercred.TestGroupsAllocateOnce", "[] failed to get the peer's groups: linux: getsockopt(SO_PEERGROUPS): protocol error", true},
		{"EPROTO of a socketpair", "peercred.TestGroupsAllocateOnce", "[] socketpair: protocol error", false},
		{"groups are not told", "cmd/peercred.TestListenShowsAllFacts", `groups is told: false ("failed to get the peer's groups: linux: getsockopt(SO_PEERGROUPS): protocol error"), want true:` + "\n{}", true},
		{"another fact is not told", "cmd/peercred.TestListenShowsAllFacts", `security_label is told: false ("linux: getsockopt(SO_PEERSEC): protocol error"), want true:` + "\n{}", false},
		{"the emulator", "cmd/peercred.TestListenShowsAllFacts", `the executable is "/usr/bin/qemu-arm", want "/tmp/peercred.test" (<nil>)`, true},
		{"another program", "cmd/peercred.TestListenShowsAllFacts", `the executable is "/tmp/other", want "/usr/bin/qemu-arm" (<nil>)`, false},

		{"no information", "peercred.TestProcess", noInfo, true},
		{"of another program", "peercred.TestProcessThatExecutes", noInfo, true},
		{"and it has exited", "peercred.TestProcess", strings.Replace(noInfo, "  \tExited: false,", "- \tExited: false,\n+ \tExited: true,", 1), false},
		{"and a signal fails", "peercred.TestProcess", strings.Replace(noInfo, "  \tSignal:    \"\",", "- \tSignal:    \"\",\n+ \tSignal:    \"function not implemented\",", 1), false},
		{"another error", "peercred.TestProcess", strings.Replace(noInfo, "function not implemented", "operation not permitted", 1), false},
		{"a wrong pid without an error", "peercred.TestProcess", without(without(noInfo, "- \tPIDErr:    \"\",\n"), "+ \tPIDErr:    \"function not implemented\",\n"), false},
		{"wrong ids without an error", "peercred.TestProcess", without(without(noInfo, "- \tIDsErr:    \"\",\n"), "+ \tIDsErr:    \"function not implemented\",\n"), false},
		{"the handle says so", "peercred.TestProcess", "PID = 0, function not implemented, want 24120", false},

		{"the emulator executed", "peercred.TestProcessThatExecutes", executed, true},
		{"and other arguments", "peercred.TestProcessThatExecutes", strings.Replace(executed, "  \t\"another name\",", "- \t\"another name\",", 1), false},
		{"no emulator executed", "peercred.TestProcessThatExecutes", strings.Replace(executed, "/usr/bin/qemu-aarch64", "/usr/bin/true", 1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			pkg, name, _ := strings.Cut(test.test, ".")
			e := excepted(exceptions, pkg, name)
			if e == nil {
				t.Fatalf("%s is no exception", test.test)
			}
			if got := e.explains([]string{test.message}); got != test.want {
				t.Errorf("explained: %v, want %v: %s", got, test.want, test.message)
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
