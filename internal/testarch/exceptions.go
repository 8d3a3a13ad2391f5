//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/peercred/internal/testlog"
)

// exception is what qemu-user cannot answer, and the tests that ask for it. They
// run all the same, and must fail: one that passes is an exception no more.
type exception struct {
	reason string
	says   []*regexp.Regexp // one of these begins each message that each of them logs
	tests  []string         // PACKAGE.TEST or PACKAGE.TEST/SUBTEST, and with it all below
}

// saying compiles the beginning of a message, which is of its first line, unless more
// lines are spelled out.
func saying(beginning string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + beginning + `)`) }

// What the messages are. Those with a diff have their reason in it, which is then all
// that differs. (cmp puts spaces of two kinds, at random.)
var (
	noHelper     = saying(`start a helper .*: fork/exec /proc/self/exe: invalid argument$`)
	noLeafGroups = saying(`(?:cpeercred|native)\.Groups: 0 groups, protocol error, want \d+ groups, <nil>$`)
	noGroups     = saying(`(?:GetPeerGroups, [a-z ]+: 0 groups, |\[\] |groups is told: false \(")` +
		`failed to get the peer's groups: linux: getsockopt\(SO_PEERGROUPS\): protocol error`)
	noPidfdInfo = saying(`(?:cpeercred|native), of a process that is [a-z ]+ \(-want \+got\):` +
		`(?:\n[^-+\n].*|\n[-+]\W*(?:PID:|IDs:|\d).*)*` +
		`\n-\W*PIDErr:.*\n\+\W*PIDErr:\W*"function not implemented",` +
		`\n-\W*IDsErr:.*\n\+\W*IDsErr:\W*"function not implemented",` +
		`(?:\n[^-+\n].*)*$`)
	emulatorRuns     = saying(`(?:Executable's path is|ExecutablePath =|Executable is|the executable is) "/usr/bin/qemu-`)
	emulatorExecuted = saying(`Cmdline(?: after execve)?: <nil> \(-want \+got\):` +
		`\n[^-+\n].*\n\+\W*"/usr/bin/qemu-\w+",\n\+\W*"/.*",(?:\n[^-+\n].*)*$`)
)

var exceptions = []exception{
	{
		reason: "clone(2) refuses flags for namespaces",
		says:   []*regexp.Regexp{noHelper},
		tests: []string{
			"peercred.TestTrap04PIDZeroFromAnotherNamespace",
			"peercred.TestUserNamespaces",
			"peercred.TestTrap07PIDReuse",
			"peercred.TestProcessInAnotherPIDNamespace",
			"peercred.TestProcessGoneInAnotherPIDNamespace",
			"peercred.TestProcessInANamespaceBelow",
			"peercred.TestProcessUnderARestrictedProc",
			"guard.TestOverflowIDs",
			"guard.TestDirectoryOfOverflowID",
			"cmd/peercred.TestDemoWithoutOtherUsers",
		},
	},
	{
		reason: "getsockopt(SO_PEERGROUPS) is asked for one int: with two groups there is no answer, which is refused as EPROTO",
		says:   []*regexp.Regexp{noLeafGroups, noGroups},
		tests: []string{
			"peercred.TestGroups/unix,_17", "peercred.TestGroups/unixpacket,_17",
			"peercred.TestGroups/unix,_64", "peercred.TestGroups/unixpacket,_64",
			"peercred.TestGroups/unix,_65", "peercred.TestGroups/unixpacket,_65",
			"peercred.TestGroups/unix,_65536", "peercred.TestGroups/unixpacket,_65536",
			"peercred.TestGroupsAllocateOnce",
		},
	},
	{
		reason: "the same, so that a policy on groups lets in nobody",
		says:   []*regexp.Regexp{saying(`a helper said "refused\\n" \(<nil>\), want "welcome"`)},
		tests: []string{
			"guard.TestPoliciesOnRealPeers/group_2424",
			"guard.TestPoliciesOnRealPeers/group_27_or_1",
			"guard.TestPoliciesOnRealPeers/any_of_(uid_0;_group_27)",
		},
	},
	{
		reason: "ioctl(PIDFD_GET_INFO) is not known, and ENOSYS",
		says:   []*regexp.Regexp{noPidfdInfo},
		tests:  []string{"peercred.TestProcess", "peercred.TestCurrentIDsInOrder"},
	},
	{
		reason: "the kernel runs the emulator, so that /proc/PID/exe is that",
		says:   []*regexp.Regexp{emulatorRuns},
		tests:  []string{"peercred.TestProcessFacts", "peercred.TestExecutableRemoved"},
	},
	{
		reason: "both: no PIDFD_GET_INFO, and the emulator",
		says:   []*regexp.Regexp{noPidfdInfo, emulatorExecuted},
		tests:  []string{"peercred.TestProcessThatExecutes"},
	},
	{
		reason: "the emulator, as above, and more groups than one",
		says:   []*regexp.Regexp{noGroups, emulatorRuns},
		tests:  []string{"cmd/peercred.TestListenShowsAllFacts"},
	},
	{
		reason: "setsockopt of an option that it does not know is ENOPROTOOPT, whatever the descriptor",
		says:   []*regexp.Regexp{saying(`refuseDescriptors of no descriptor = <nil>, want EBADF$`)},
		tests:  []string{"guard.TestDescriptorsThatCannotBeRefused"},
	},
}

// excepted finds the exception for a test or a subtest.
func excepted(list []exception, pkg, test string) *exception {
	name := pkg + "." + test
	for i, e := range list {
		if slices.ContainsFunc(e.tests, func(listed string) bool { return name == listed || strings.HasPrefix(name, listed+"/") }) {
			return &list[i]
		}
	}
	return nil
}

// explains tells whether messages say nothing but what the exception is.
func (e *exception) explains(messages []string) bool {
	other := func(message string) bool {
		return !slices.ContainsFunc(e.says, func(beginning *regexp.Regexp) bool { return beginning.MatchString(message) })
	}
	return len(messages) > 0 && !slices.ContainsFunc(messages, other)
}

// unexpected are the complaints about failures that are no exceptions, or fail for
// another reason, and about exceptions that did not fail. Where only some tests were
// run, an exception may be missing.
func unexpected(exceptions []exception, pkg string, log *testlog.Log, some bool) (list []string) {
	failures := log.Failures()
	for i, test := range failures {
		// Sorted names: what is below a test comes next to it.
		below := func(other string) bool { return strings.HasPrefix(other, test+"/") }
		if len(log.Tests[test].Logged) == 0 && slices.ContainsFunc(failures[i+1:], below) {
			continue // it fails because of those, and of nothing else
		}
		switch e := excepted(exceptions, pkg, test); {
		case e == nil:
			list = append(list, test+" failed")
		case !e.explains(log.Tests[test].Logged):
			list = append(list, fmt.Sprintf("%s failed, and not only for this reason: %s", test, e.reason))
		}
	}
	for _, e := range exceptions {
		for _, listed := range e.tests {
			test, ours := strings.CutPrefix(listed, pkg+".")
			if !ours {
				continue
			}
			switch t := log.Tests[test]; {
			case t == nil && !some:
				list = append(list, test+" is an exception, and did not run: is there such a test?")
			case t != nil && t.Verdict == "PASS":
				list = append(list, test+" is an exception, and passed")
			}
		}
	}
	return list
}

func printExceptions() {
	fmt.Println("What qemu-user cannot answer; these tests run, and must fail for that reason:")
	for _, e := range exceptions {
		fmt.Printf("  %s\n", e.reason)
		for _, test := range e.tests {
			fmt.Printf("    %s\n", test)
		}
	}
}
