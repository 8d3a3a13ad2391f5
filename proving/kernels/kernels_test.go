package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each boot is listed once and can run. Each architecture runs most tests on the oldest and
// on the newest kernel, and without user namespaces. It also has each security module.
func TestBoots(t *testing.T) {
	for arch := range machines {
		for _, word := range []string{"6.1", "newest", "no-userns", "selinux", "apparmor", "smack"} {
			if !slices.ContainsFunc(boots, func(b boot) bool {
				return b.is(arch) && b.is(word) && (b.runsWhole() || modules[word] != "")
			}) {
				t.Errorf("%s: no boot with %s", arch, word)
			}
		}
	}
	for _, b := range boots {
		_, known := tests[strings.Fields(string(b))[1]]
		if got, err := choose("^" + regexp.QuoteMeta(b.name()) + " "); len(got) != 1 || err != nil {
			t.Errorf("%s: chosen %q, %v", b, got, err)
		}
		if !known || modules[b.module()] == "" || machines[b.arch()].cc == "" {
			t.Errorf("%s: no such tests, security module or architecture", b)
		}
	}
	for which, want := range map[string]int{"": len(boots), "quick": 2, "no such boot": 0, "(": 0} {
		if got, err := choose(which); len(got) != want || (err == nil) != (want > 0) {
			t.Errorf("choose(%q) = %q, %v, want %d boots", which, got, err, want)
		}
	}
}

// A boot fails if a machine fails, or if its output lacks something that a good boot has.
func TestJudge(t *testing.T) {
	b := boot("newest/amd64/selinux/policy labels")
	const run = "\n@kernels: CGO_ENABLED=1 guard starts\n" +
		"\x16=== RUN   TestSELinuxLabelByName\n\x16--- PASS: TestSELinuxLabelByName (0.00s)\n" +
		"\x16=== RUN   TestParent\n\x16=== RUN   TestParent/a\n    a_test.go:1: needs ss: not found\n" +
		"\x16=== NAME  TestParent\n    a_test.go:2: a message\n" +
		"\x16--- PASS: TestParent (0.00s)\n\x16    --- SKIP: TestParent/a (0.00s)\nPASS\n" +
		"\n@kernels: exit 0\n"
	var good strings.Builder
	good.WriteString("\n@kernels: kernel 7.2 has security modules capability,selinux\n")
	for _, pkg := range []string{"peercred", "cpeercred", "native", "guard"} {
		for _, cgo := range []string{"CGO_ENABLED=1", "CGO_ENABLED=0"} {
			good.WriteString(strings.Replace(run, "CGO_ENABLED=1 guard", cgo+" "+pkg, 1))
		}
	}
	good.WriteString("\n@kernels: end 0\n")
	if _, complaints := b.judge("7.2", "", good.String()); len(complaints) > 0 {
		t.Errorf("complaints about a good boot: %q", complaints)
	}
	for _, test := range []struct{ old, replacement, want string }{
		{good.String(), "", `the machine shows the kernel "", want "7.2"`},
		{good.String(), "", `CGO_ENABLED=0 guard: exit code ""`},
		{good.String(), "", "CGO_ENABLED=1: no test passed"},
		{"kernel 7.2", "kernel 6.1", `the machine shows the kernel "6.1", want "7.2"`},
		{"capability,selinux", "capability", "security module selinux is active: false, want true"},
		{"capability,selinux", "capability,selinux,apparmor", "security module apparmor is active: true, want false"},
		{"--- PASS: TestParent ", "--- FAIL: TestParent ", "CGO_ENABLED=0: native.TestParent failed"},
		{"\x16--- PASS: TestParent (0.00s)\n\x16    --- SKIP: TestParent/a (0.00s)\nPASS\n", "panic: x\n", "CGO_ENABLED=1: guard.TestParent/a did not end"},
		{"exit 0", "exit 2", `CGO_ENABLED=1 cpeercred: exit code "2"`},
		{"needs ss: ", "needs root: ", "CGO_ENABLED=0: peercred.TestParent/a was skipped for no known reason: needs root: not found"},
		{"PASS: TestSELinuxLabelByName", "SKIP: TestSELinuxLabelByName", "CGO_ENABLED=0: TestSELinuxLabelByName did not pass, which the boot is for"},
		{"end 0", "end 1", `init ended with "1"`},
		{"@kernels: end 0", "Kernel panic", `init ended with ""`},
	} {
		_, complaints := b.judge("7.2", "", strings.ReplaceAll(good.String(), test.old, test.replacement))
		if !slices.Contains(complaints, test.want) {
			t.Errorf("%q instead of %q: complaints %q, want %q among them", test.replacement, test.old, complaints, test.want)
		}
	}
	// If all tests run, each package must pass some, and each reason to skip must apply.
	b = "newest/amd64/selinux/policy all"
	_, complaints := b.judge("7.2", "", strings.ReplaceAll(good.String(), "PASS: Test", "SKIP: Test"))
	for _, want := range []string{"CGO_ENABLED=1 native: no test passed", "CGO_ENABLED=1: no test was skipped for the known reason: needs curl: "} {
		if !slices.Contains(complaints, want) {
			t.Errorf("complaints %q, want %q among them", complaints, want)
		}
	}
}
