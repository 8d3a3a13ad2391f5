//go:build linux && (cgo || !android)

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred/internal/staticbuild"
	"example.com/peercred/internal/testlog"
)

// A boot in which all is well, as the machine prints it.
const good = `
@testkernel: kernel 6.1.0-56-amd64 with security modules lockdown,capability,selinux,bpf

@testkernel: run 0 starts
=== RUN   TestNeedy
    cost_linux_test.go:51: needs strace, to see: not found
--- SKIP: TestNeedy (0.01s)
=== RUN   TestParent
=== RUN   TestParent/a
=== RUN   TestParent/b
    inject_linux_test.go:49: needs strace, to see: not found
=== NAME  TestParent
    inject_linux_test.go:60: a parent's word
--- PASS: TestParent (0.00s)
    --- PASS: TestParent/a (0.00s)
    --- SKIP: TestParent/b (0.00s)
PASS

@testkernel: run 0 exits with 0

@testkernel: run 1 starts
=== RUN   TestOther
--- PASS: TestOther (0.00s)
=== RUN   TestOtherNeedy
    cost_linux_test.go:51: needs strace, to see: not found
--- SKIP: TestOtherNeedy (0.01s)
PASS

@testkernel: run 1 exits with 0

@testkernel: end
[   37.438544] reboot: Power down
`

func readBoot(text, filter string) *outcome {
	runs := []run{{Setting: staticbuild.Settings[0].String(), Package: "p"}, {Setting: staticbuild.Settings[1].String(), Package: "p"}}
	o := newOutcome(boot{module: selinux, tests: filter}, "6.1.0-56-amd64", runs, func(string) {})
	o.skips = []string{"needs strace, "}
	for line := range strings.Lines(text) {
		o.read(strings.TrimSuffix(line, "\n"))
	}
	return o
}

func TestGoodBoot(t *testing.T) {
	o := readBoot(good, "")
	if got := o.complaints(); len(got) != 0 {
		t.Errorf("complaints about a good boot: %q", got)
	}
	const reason = "needs strace, to see: not found"
	want := testlog.Counts{Passed: 2, Skipped: []testlog.Skip{{Test: "TestNeedy", Reason: reason}, {Test: "TestParent/b", Reason: reason}}}
	if diff := cmp.Diff(want, o.total(staticbuild.Settings[0])); diff != "" {
		t.Errorf("the first setting's total (-want +got):\n%s", diff)
	}
}

// A test that the boot is for must pass: it may neither skip nor be absent.
func TestNeededTests(t *testing.T) {
	o := readBoot(good, "")
	o.needed = []string{"TestNeedy", "TestParent"}
	want := []string{
		"CGO_ENABLED=1 did not pass TestNeedy, which the boot is for",
		"CGO_ENABLED=0 did not pass TestNeedy, which the boot is for",
		"CGO_ENABLED=0 did not pass TestParent, which the boot is for",
	}
	if diff := cmp.Diff(want, o.complaints()); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
}

// What is missing from a good boot, or other in it, fails it.
func TestBadBoots(t *testing.T) {
	first, _, _ := strings.Cut(good, "\n@testkernel: run 1 starts")
	for name, test := range map[string]struct{ boot, filter, want string }{
		"nothing": {"", "", `the machine tells kernel "", want "6.1.0-56-amd64"`},
		"another kernel": {strings.ReplaceAll(good, "6.1.0-56", "6.12.1"), "",
			`the machine tells kernel "6.12.1-amd64", want "6.1.0-56-amd64"`},
		"another security module": {strings.ReplaceAll(good, "selinux", "apparmor"), "",
			"security module apparmor is active"},
		"no security module": {strings.ReplaceAll(good, ",selinux", ""), "",
			"security module selinux is active: false, want true"},
		"a test ran that is to be skipped": {strings.ReplaceAll(good, "SKIP: TestOtherNeedy", "PASS: TestOtherNeedy"), "",
			"CGO_ENABLED=0 skipped nothing for the reason that is expected: needs strace, "},
		"a panic before the second run": {first, "", "CGO_ENABLED=0 p did not end"},
		"no end":                        {strings.ReplaceAll(good, "@testkernel: end", ""), "", "the machine did not come to the end of its plan"},
		"a test failed": {strings.ReplaceAll(good, "--- PASS: TestOther", "--- FAIL: TestOther"), "",
			"CGO_ENABLED=0 p exited with 0, and 1 tests failed"},
		"a binary failed": {strings.ReplaceAll(good, "run 1 exits with 0", "run 1 exits with 2"), "",
			"CGO_ENABLED=0 p exited with 2, and 0 tests failed"},
		"a test was lost": {strings.ReplaceAll(good, "    --- PASS: TestParent/a (0.00s)\n", ""), "",
			"CGO_ENABLED=1 p started 4 tests, of which 3 ended"},
		"another reason to skip": {strings.ReplaceAll(good, "51: needs strace", "51: needs root"), "",
			"CGO_ENABLED=1 p skipped TestNeedy, for no reason that is expected: needs root, to see: not found"},
		"no reason to skip": {strings.ReplaceAll(good, "    inject_linux_test.go:49: needs strace, to see: not found\n", ""), "",
			"CGO_ENABLED=1 p skipped TestParent/b, for no reason that is expected: "},
		"no test": {strings.NewReplacer("=== RUN   TestOther\n", "", "--- PASS: TestOther (0.00s)\n", "").Replace(good), "",
			"CGO_ENABLED=0 p passed no test"},
		"no test of a setting matches": {strings.NewReplacer("=== RUN   TestOther\n", "", "--- PASS: TestOther (0.00s)\n", "").Replace(good), "TestParent",
			"CGO_ENABLED=0 passed no test"},
	} {
		if got := readBoot(test.boot, test.filter).complaints(); !slices.Contains(got, test.want) {
			t.Errorf("%s: complaints %q, want %q among them", name, got, test.want)
		}
	}
}
