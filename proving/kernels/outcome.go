package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mark begins the lines of init, which separate the output of the test binaries.
const mark = "\n@kernels: "

// judge reads the output of the machine. It counts the tests of each setting, and says what
// is wrong. If run is not empty, only tests that match it ran.
func (b boot) judge(release, run, text string) (summary string, complaints []string) {
	var counts strings.Builder
	var kernel, list, binary, end string
	printed, exits := map[string]string{}, map[string]string{} // by setting and package
	for _, part := range strings.Split("\n"+text, mark)[1:] {
		line, output, _ := strings.Cut(part, "\n")
		switch words := append(strings.Fields(line), "", ""); words[0] {
		case "kernel":
			kernel, list = words[1], words[len(words)-3]
		case "exit":
			exits[binary] = words[1]
		case "end":
			end = words[1]
		default:
			binary = words[0] + " " + words[1]
			printed[binary] = output
		}
	}
	if kernel != release {
		complaints = append(complaints, fmt.Sprintf("the machine shows the kernel %q, want %q", kernel, release))
	}
	complaints = append(complaints, b.wrongModules(list)...)
	for _, setting := range []string{"CGO_ENABLED=1", "CGO_ENABLED=0"} {
		all := verdicts{}
		for _, pkg := range []string{"peercred", "cpeercred", "native", "guard"} {
			binary := setting + " " + pkg
			if exits[binary] != "0" {
				complaints = append(complaints, fmt.Sprintf("%s: exit code %q", binary, exits[binary]))
			}
			if passed := all.read(pkg, printed[binary]); b.runsWhole() && run == "" && passed == 0 {
				complaints = append(complaints, binary+": no test passed")
			}
		}
		for _, c := range b.judgeSetting(run, all) {
			complaints = append(complaints, setting+": "+c)
		}
		fmt.Fprintf(&counts, "\n  %s: %d tests passed, %d skipped", setting, len(all.with("PASS:")), len(all.with("SKIP:")))
	}
	if end != "0" {
		complaints = append(complaints, fmt.Sprintf("init ended with %q", end))
	}
	return "Linux " + kernel + " with " + list + ":" + counts.String(), complaints
}

// judgeSetting says what is wrong with the tests of one setting.
func (b boot) judgeSetting(run string, all verdicts) (complaints []string) {
	complain := func(format string, a ...any) { complaints = append(complaints, fmt.Sprintf(format, a...)) }
	if len(all.with("PASS:")) == 0 {
		complain("no test passed")
	}
	for _, test := range all.with("FAIL:") {
		complain("%s failed", test)
	}
	for _, test := range all.with("RUN") {
		complain("%s did not end", test)
	}
	known, used := b.skips(), map[string]bool{}
	for _, test := range all.with("SKIP:") {
		i := slices.IndexFunc(known, func(beginning string) bool { return strings.HasPrefix(all[test].reason, beginning) })
		if i < 0 {
			complain("%s was skipped for no known reason: %s", test, all[test].reason)
			continue
		}
		used[known[i]] = true
	}
	if run != "" {
		return complaints
	}
	for _, reason := range known {
		if b.runsWhole() && !used[reason] {
			complain("no test was skipped for the known reason: %s", reason)
		}
	}
	for _, test := range b.needed() {
		if !slices.ContainsFunc(all.with("PASS:"), func(name string) bool { return strings.HasSuffix(name, "."+test) }) {
			complain("%s did not pass, which the boot is for", test)
		}
	}
	return complaints
}

// verdicts has the results of tests and subtests, by PACKAGE.TEST: PASS:, FAIL:, SKIP:, or
// RUN for a test that did not end. The reason is the test's last message.
type verdicts map[string]struct{ action, reason string }

// with returns the tests that have the verdict, in order.
func (v verdicts) with(action string) (tests []string) {
	for test, verdict := range v {
		if verdict.action == action {
			tests = append(tests, test)
		}
	}
	slices.Sort(tests)
	return tests
}

// The first line of a test's message.
var message = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

// read adds the results in the output of a test binary. With -test.v=test2json that has a
// control character before each line about a test. read returns how many tests passed.
func (v verdicts) read(pkg, output string) (passed int) {
	for _, frame := range strings.Split(output, "\x16")[1:] {
		line, logged, _ := strings.Cut(frame, "\n")
		words := strings.Fields(line) // === RUN Test, === NAME Test, --- PASS: Test (0.00s)
		if len(words) < 3 {
			continue
		}
		name := pkg + "." + words[2]
		test := v[name]
		if (words[0] == "---" || words[1] == "RUN") && test.action != "FAIL:" { // no later result replaces it
			test.action = words[1]
		}
		if words[1] == "PASS:" {
			passed++
		}
		for _, m := range message.FindAllStringSubmatch(logged, -1) {
			test.reason = m[1]
		}
		v[name] = test
	}
	return passed
}
