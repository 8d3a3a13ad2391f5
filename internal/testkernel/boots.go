//go:build linux && (cgo || !android)

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"example.com/peercred/internal/testlog"
)

// boot is one start of a machine.
type boot struct {
	kernel           kernel
	arch             string // as Go and Debian call it
	module           securityModule
	policy           bool // SELinux has one; without it, every label is "kernel"
	noUserNamespaces bool
	tests            string // a regexp for those that matter there, if not all do
	leavesOut        string // a regexp for those that other boots have
	quick            bool   // one of those that show most in little time
}

// securityModule is what the kernel is told to use. The names are those in
// /sys/kernel/security/lsm.
type securityModule struct {
	name       string
	parameters string // of the kernel
	absent     bool   // Debian's kernels do not have it
}

var (
	none     = securityModule{name: "no-lsm", parameters: "lsm="}
	bpf      = securityModule{name: "bpf", parameters: "lsm=bpf"} // where SO_PEERSEC succeeds, and writes nothing
	selinux  = securityModule{name: "selinux", parameters: "security=selinux selinux=1"}
	apparmor = securityModule{name: "apparmor", parameters: "security=apparmor apparmor=1"}
	smack    = securityModule{name: "smack", parameters: "security=smack", absent: true}
)

// The tests that a security module matters to, and with them those that take a
// user namespace.
const (
	labels              = "Label|Support|AppArmor|SELinux"
	labelsAndNamespaces = labels + "|UserNamespaces|OverflowIDs"
)

// load are the tests that take minutes where the processor is emulated, and tell
// more of us than of the kernel.
const load = "ManyConnections|ManyProcesses|AskWhileClosing|SocketFileIs(Watched|NeverWider)|" +
	"AsAnOrdinaryUser|UmaskOfAnotherGoroutine|GroupBitsWait|ServersStartAtOnce|OwnerOfASharedDirectory"

var boots = []boot{
	{kernel: stable, arch: "amd64", module: none, leavesOut: load},
	{kernel: stable, arch: "amd64", module: bpf, tests: labels, quick: true},
	{kernel: stable, arch: "amd64", module: selinux, leavesOut: load, quick: true},
	{kernel: stable, arch: "amd64", module: apparmor, tests: labels},
	{kernel: stable, arch: "amd64", module: smack, tests: labels},
	{kernel: stable, arch: "amd64", module: none, noUserNamespaces: true},

	{kernel: backports, arch: "amd64", module: apparmor, leavesOut: load},
	{kernel: backports, arch: "amd64", module: selinux, tests: labels},
	{kernel: backports, arch: "amd64", module: selinux, policy: true, tests: labels},

	{kernel: newest, arch: "amd64", module: apparmor, leavesOut: load, quick: true},
	{kernel: newest, arch: "amd64", module: none},
	{kernel: newest, arch: "amd64", module: bpf, tests: labels},
	{kernel: newest, arch: "amd64", module: selinux, policy: true, tests: labels, quick: true},
	{kernel: newest, arch: "amd64", module: smack, tests: labels},
	{kernel: newest, arch: "amd64", module: selinux, noUserNamespaces: true, leavesOut: load},

	{kernel: stable, arch: "arm64", module: selinux, noUserNamespaces: true, leavesOut: load},
	{kernel: stable, arch: "arm64", module: apparmor, tests: labelsAndNamespaces},
	{kernel: newest, arch: "arm64", module: apparmor, leavesOut: load},
	{kernel: newest, arch: "arm64", module: selinux, tests: labels},
	{kernel: newest, arch: "arm64", module: smack, tests: labels},

	{kernel: stable, arch: "s390x", module: selinux, noUserNamespaces: true, leavesOut: load},
	{kernel: stable, arch: "s390x", module: apparmor, tests: labelsAndNamespaces},
	{kernel: newest, arch: "s390x", module: apparmor, leavesOut: load},
	{kernel: newest, arch: "s390x", module: selinux, tests: labels},
	{kernel: newest, arch: "s390x", module: selinux, policy: true, tests: labels},
	{kernel: newest, arch: "s390x", module: smack, tests: labels},
}

func (b boot) name() string {
	name := b.kernel.name + "/" + b.arch + "/" + b.module.name
	if b.policy {
		name += "/policy"
	}
	if b.noUserNamespaces {
		name += "/no-userns"
	}
	return name
}

// String is the boot's line in the list, which a regexp chooses it by.
func (b boot) String() string {
	line := b.name() + " " + b.whichTests()
	if b.quick {
		line += " quick"
	}
	return line
}

func (b boot) whichTests() string {
	which := cmp.Or(b.tests, "all tests")
	if b.leavesOut != "" {
		which += " but " + b.leavesOut
	}
	return which
}

// environment tells the tests what they are to find, so that they cannot take
// what they find for what they should find.
func (b boot) environment() []string {
	environment := []string{
		"PEERCRED_TEST_KERNEL_HAS_PIDFD=" + yesOrNo(b.kernel.pidfd),
		"PEERCRED_TEST_KERNEL_HAS_PIDFD_INFO=" + yesOrNo(b.kernel.pidfdInfo),
		"PEERCRED_TEST_SECURITY_LABEL=" + b.label(),
	}
	if b.module == apparmor {
		environment = append(environment,
			"PEERCRED_TEST_CONFINED_EXECUTABLE="+confinedExecutable,
			"PEERCRED_TEST_CONFINED_LABEL="+confinedLabel,
			"PEERCRED_TEST_CONFINED_SERVER="+confinedServer,
			"PEERCRED_TEST_CONFINED_CLIENT="+confinedClient,
			"PEERCRED_TEST_CONFINED_SOCKET="+confinedSocket)
	}
	if b.policy {
		environment = append(environment,
			"PEERCRED_TEST_NAMED_SOCKET="+namedSocket,
			"PEERCRED_TEST_NAMED_SOCKET_LABEL="+namedContext)
	}
	return environment
}

// label is what SO_PEERSEC tells of every peer that no policy is about.
func (b boot) label() string {
	switch {
	case b.policy:
		return processContext
	case b.module == selinux:
		return "kernel"
	case b.module == apparmor && b.kernel.appArmorLabels:
		return "unconfined"
	}
	return ""
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

const noUserNamespaces = `needs user namespaces: /proc/sys/user/max_user_namespaces is "0\n", <nil>`

// skips begin the reasons that tests have not to run there. Each of them is to
// keep some test from running, and nothing else is.
func (b boot) skips() []string {
	reasons := []string{ // the machine holds the test binaries and nothing else
		"needs strace, ",
		"needs a C compiler ",
		"needs the source beside the test: ",
		"needs unix_diag: ", // which is a module of Debian's kernels
		"needs strace: ",
		"needs systemd-tmpfiles: ",
		"needs ss: ",
		"needs lsof: ",
		"needs fuser: ",
		"needs setpriv: ",
		"needs mkfs.ext4: ",
		"needs curl: ",
		"needs sh: ",
		"needs unshare(1), ",
		"needs systemd-socket-activate, ",
	}
	if b.module != apparmor {
		reasons = append(reasons, testlog.NoProfile)
	}
	if !b.policy {
		reasons = append(reasons, testlog.NoPolicy)
	}
	if !b.kernel.pidfd {
		reasons = append(reasons, "needs SO_PEERPIDFD, ", "needs a handle on the peer's process: ")
	}
	if b.kernel.pidfd && !b.kernel.pidfdInfo {
		reasons = append(reasons, "needs PIDFD_GET_INFO, ")
	}
	if b.arch == "s390x" {
		reasons = append(reasons, "needs seccomp filters: ")
	}
	if !b.kernel.passRights {
		reasons = append(reasons, "needs SO_PASSRIGHTS, ")
	}
	if b.noUserNamespaces {
		reasons = append(reasons, noUserNamespaces)
	}
	return reasons
}

// needed are the tests that the boot is for, and that must pass in it.
func (b boot) needed() (tests []string) {
	if b.module == apparmor {
		tests = append(tests, "TestSecurityLabelOfAConfinedPeer", "TestAppArmorProfileOfOnePath")
	}
	if b.policy {
		tests = append(tests, "TestSELinuxLabelByName")
	}
	return tests
}

// wrongModules says what is wrong with the modules that the kernel lists, if
// anything: the one that it was told to use is there, and no other that labels
// sockets.
func (b boot) wrongModules(list string) (complaints []string) {
	names := strings.Split(list, ",")
	for _, m := range []securityModule{selinux, apparmor, smack} {
		if m != b.module && slices.Contains(names, m.name) {
			complaints = append(complaints, m.name+" is active")
		}
	}
	if b.module != none && slices.Contains(names, b.module.name) == b.module.absent {
		complaints = append(complaints, fmt.Sprintf("%s is active: %v, want %v", b.module.name, b.module.absent, !b.module.absent))
	}
	return complaints
}
