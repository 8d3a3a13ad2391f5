package main

import (
	"fmt"
	"slices"
	"strings"
)

// boot is one start of a machine: KERNEL/ARCH/MODULE, whether SELinux has a policy, whether
// there are user namespaces, and which tests run. Without a policy every label is "kernel".
// The quick boots find most in little time.
type boot string

var boots = []boot{
	"6.1/amd64/no-lsm most",
	"6.1/amd64/bpf labels",
	"6.1/amd64/selinux most",
	"6.1/amd64/apparmor labels",
	"6.1/amd64/smack labels",
	"6.1/amd64/no-lsm/no-userns all",

	"6.12/amd64/apparmor most",
	"6.12/amd64/selinux labels",
	"6.12/amd64/selinux/policy labels",

	"newest/amd64/apparmor most quick",
	"newest/amd64/no-lsm all",
	"newest/amd64/bpf labels",
	"newest/amd64/selinux/policy labels quick",
	"newest/amd64/smack labels",
	"newest/amd64/selinux/no-userns most",

	"6.1/arm64/selinux/no-userns most",
	"6.1/arm64/apparmor labels+namespaces",
	"newest/arm64/apparmor most",
	"newest/arm64/selinux labels",
	"newest/arm64/smack labels",

	"6.1/s390x/selinux/no-userns most",
	"6.1/s390x/apparmor labels+namespaces",
	"newest/s390x/apparmor most",
	"newest/s390x/selinux labels",
	"newest/s390x/selinux/policy labels",
	"newest/s390x/smack labels",
}

// modules are the kernel's parameters for each security module. The names are those in
// /sys/kernel/security/lsm. With bpf SO_PEERSEC succeeds, and writes nothing. Debian's
// kernels do not have Smack.
var modules = map[string]string{
	"no-lsm":   "lsm=",
	"bpf":      "lsm=bpf",
	"selinux":  "security=selinux selinux=1",
	"apparmor": "security=apparmor apparmor=1",
	"smack":    "security=smack",
}

// labels are the tests that depend on the security module.
const labels = "Label|Support|AppArmor|SELinux"

// tests are the regexps of the tests to run, and of those to leave out.
var tests = map[string]struct{ run, skip string }{
	"all": {},
	// Without the tests that take minutes on an emulated processor, and that check our
	// code more than the kernel.
	"most": {skip: "ManyConnections|ManyProcesses|AskWhileClosing|SocketFileIs(Watched|NeverWider)|" +
		"AsAnOrdinaryUser|UmaskOfAnotherGoroutine|GroupBitsWait|ServersStartAtOnce|OwnerOfASharedDirectory|DialListenerOnTCP"},
	"labels":            {run: labels},
	"labels+namespaces": {run: labels + "|UserNamespaces|OverflowIDs"},
}

// words returns the parts of the boot.
func (b boot) words() []string {
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '/' || r == ' ' })
}

func (b boot) is(word string) bool { return slices.Contains(b.words(), word) }
func (b boot) kernel() string      { return b.words()[0] }
func (b boot) arch() string        { return b.words()[1] }
func (b boot) which() string       { return b.kernel() + "-" + b.arch() }
func (b boot) module() string      { return b.words()[2] }

// name returns the boot without the tests.
func (b boot) name() string { return strings.Fields(string(b))[0] }

// runsWhole reports whether all kinds of tests run.
func (b boot) runsWhole() bool { return b.is("all") || b.is("most") }

// These functions report which features a kernel has: SO_PEERPIDFD since 6.5,
// PIDFD_GET_INFO since 6.13, SO_PASSRIGHTS since 6.16, and AppArmor's labels of Unix sockets
// since 6.17.
func (b boot) hasPidfd() bool   { return !b.is("6.1") }
func (b boot) hasTheRest() bool { return b.is("newest") }

// parameters returns the parameters for the kernel and init, and what the tests must find.
// If run is not empty, it replaces the tests of the boot.
func (b boot) parameters(run string) string {
	which := tests[strings.Fields(string(b))[1]]
	if run != "" {
		which.run, which.skip = run, ""
	}
	policy, label := "none", ""
	switch {
	case b.is("policy"):
		policy, label = "selinux", "u:r:process_t" // as in selinux.cil
	case b.is("selinux"):
		label = "kernel"
	case b.is("apparmor") && b.hasTheRest():
		policy, label = "apparmor-5.0", "unconfined"
	case b.is("apparmor"):
		policy = "apparmor-3.0"
	}
	yes := map[bool]string{true: "yes", false: "no"}
	return fmt.Sprintf(`%s RUN="%s" SKIP="%s" POLICY=%s USERNS=%s PEERCRED_TEST_SECURITY_LABEL=%s`+
		` PEERCRED_TEST_KERNEL_HAS_PIDFD=%s PEERCRED_TEST_KERNEL_HAS_PIDFD_INFO=%s`,
		modules[b.module()], which.run, which.skip, policy, yes[!b.is("no-userns")], label, yes[b.hasPidfd()], yes[b.hasTheRest()])
}

// skips begin the reasons for which tests may skip there. If all kinds of tests run, each
// reason must keep some test from running.
func (b boot) skips() []string {
	reasons := []string{ // the machine has only the tests as programs
		"needs strace, ", "needs strace: ", "needs a C compiler ", "needs the source beside the test: ",
		"needs systemd-tmpfiles: ", "needs systemd-socket-activate, ", "needs ss: ", "needs lsof: ", "needs fuser: ",
		"needs setpriv: ", "needs mkfs.ext4: ", "needs curl: ", "needs sh: ", "needs unshare(1), ", "needs autofs in /proc/filesystems: ",
	}
	for reason, applies := range map[string]bool{
		"needs a profile of AppArmor: ":          !b.is("apparmor"),
		"needs a policy of SELinux: ":            !b.is("policy"),
		"needs SO_PEERPIDFD, ":                   !b.hasPidfd(),
		"needs a handle on the peer's process: ": !b.hasPidfd(),
		"needs PIDFD_GET_INFO, ":                 b.hasPidfd() && !b.hasTheRest(),
		"needs SO_PASSRIGHTS, ":                  !b.hasTheRest(),
		"needs seccomp filters: ":                b.is("s390x"),
		`needs user namespaces: /proc/sys/user/max_user_namespaces is "0\n", <nil>`: b.is("no-userns"),
	} {
		if applies {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// needed returns the tests that must pass in this boot.
func (b boot) needed() []string {
	switch {
	case b.is("apparmor"):
		return []string{"TestSecurityLabelOfAConfinedPeer", "TestAppArmorProfileOfOnePath"}
	case b.is("policy"):
		return []string{"TestSELinuxLabelByName"}
	}
	return nil
}

// wrongModules says what is wrong with the kernel's list of security modules. It must have
// the configured one, and no other that labels sockets.
func (b boot) wrongModules(list string) (complaints []string) {
	for module := range modules {
		wanted := module == b.module() && module != "no-lsm" && module != "smack"
		if active := slices.Contains(strings.Split(list, ","), module); active != wanted && (wanted || module != "bpf") {
			complaints = append(complaints, fmt.Sprintf("security module %s is active: %v, want %v", module, active, wanted))
		}
	}
	return complaints
}
