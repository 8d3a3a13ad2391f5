//go:build linux && (cgo || !android)

package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred/internal/testlog"
)

func TestBootsAreDifferentAndCanBeEmulated(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range boots {
		if seen[b.name()] {
			t.Errorf("%s is there twice", b.name())
		}
		seen[b.name()] = true
		if b.policy && b.module != selinux {
			t.Errorf("%s has a policy, and no SELinux", b.name())
		}
		m, has := machines[b.arch]
		if !has {
			t.Errorf("%s: no machine for %s", b.name(), b.arch)
		}
		for _, tool := range []string{m.qemu, m.compiler} {
			if packages[tool] == "" {
				t.Errorf("%s: no package for %q", b.name(), tool)
			}
		}
	}
}

// Each architecture runs all tests on the oldest and on the newest kernel, and all
// without user namespaces.
func TestBootsCoverEachArchitecture(t *testing.T) {
	for arch := range machines {
		for what, matches := range map[string]func(boot) bool{
			"all tests on 6.1":        func(b boot) bool { return b.kernel.name == stable.name && b.tests == "" },
			"all tests on the newest": func(b boot) bool { return b.kernel.name == newest.name && b.tests == "" },
			"no user namespaces":      func(b boot) bool { return b.noUserNamespaces && b.tests == "" },
			"SELinux":                 func(b boot) bool { return b.module == selinux },
			"AppArmor":                func(b boot) bool { return b.module == apparmor },
			"Smack":                   func(b boot) bool { return b.module == smack },
		} {
			if !slices.ContainsFunc(boots, func(b boot) bool { return b.arch == arch && matches(b) }) {
				t.Errorf("%s: no boot with %s", arch, what)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	for which, want := range map[string]int{
		"":                        len(boots),
		"^6.1/amd64/selinux ":     1,
		"^6.1/s390x/.*/no-userns": 1,
	} {
		if got, err := choose(which); len(got) != want || err != nil {
			t.Errorf("choose(%q) = %v, %v, want %d boots", which, got, err, want)
		}
	}
	for _, which := range []string{"no such boot", "("} {
		if got, err := choose(which); got != nil || err == nil {
			t.Errorf("choose(%q) = %v, %v, want an error", which, got, err)
		}
	}
}

func TestSkips(t *testing.T) {
	for _, test := range []struct {
		boot   boot
		reason string
		want   bool
	}{
		{boot{kernel: stable}, "needs SO_PEERPIDFD, ", true},
		{boot{kernel: backports}, "needs SO_PEERPIDFD, ", false},
		{boot{kernel: stable}, "needs PIDFD_GET_INFO, ", false},
		{boot{kernel: backports}, "needs PIDFD_GET_INFO, ", true},
		{boot{kernel: newest}, "needs PIDFD_GET_INFO, ", false},
		{boot{kernel: newest, arch: "s390x"}, "needs seccomp filters: ", true},
		{boot{kernel: newest, arch: "arm64"}, "needs seccomp filters: ", false},
		{boot{kernel: backports}, "needs SO_PASSRIGHTS, ", true},
		{boot{kernel: newest}, "needs SO_PASSRIGHTS, ", false},
		{boot{kernel: newest, module: selinux}, testlog.NoProfile, true},
		{boot{kernel: newest, module: apparmor}, testlog.NoProfile, false},
		{boot{kernel: newest, module: selinux}, testlog.NoPolicy, true},
		{boot{kernel: newest, module: selinux, policy: true}, testlog.NoPolicy, false},
		{boot{kernel: newest}, noUserNamespaces, false},
		{boot{kernel: newest, noUserNamespaces: true}, noUserNamespaces, true},
	} {
		if got := slices.Contains(test.boot.skips(), test.reason); got != test.want {
			t.Errorf("%v skips for %q: %v, want %v", test.boot, test.reason, got, test.want)
		}
	}
}

func TestWrongModules(t *testing.T) {
	for _, test := range []struct {
		module securityModule
		list   string
		want   []string
	}{
		{none, "lockdown,capability", nil},
		{none, "lockdown,capability,apparmor", []string{"apparmor is active"}},
		{bpf, "capability,bpf", nil},
		{bpf, "capability", []string{"bpf is active: false, want true"}},
		{selinux, "capability,selinux,bpf", nil},
		{selinux, "capability,apparmor", []string{"apparmor is active", "selinux is active: false, want true"}},
		{smack, "capability,landlock", nil},
		{smack, "capability,smack", []string{"smack is active: true, want false"}},
	} {
		if diff := cmp.Diff(test.want, boot{module: test.module}.wrongModules(test.list)); diff != "" {
			t.Errorf("%s, listed %s (-want +got):\n%s", test.module.name, test.list, diff)
		}
	}
}
