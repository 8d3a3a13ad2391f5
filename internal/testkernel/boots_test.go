//go:build linux && (cgo || !android)

package main

import (
	"slices"
	"testing"
)

func TestBootsAreDifferentAndCanBeEmulated(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range boots {
		if seen[b.name()] {
			t.Errorf("%s is there twice", b.name())
		}
		seen[b.name()] = true
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
		"":                           len(boots),
		"^6.1/amd64/selinux ":        1,
		"^newest/s390x/.*/no-userns": 1,
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
		{boot{kernel: backports}, "needs SO_PASSRIGHTS, ", true},
		{boot{kernel: newest}, "needs SO_PASSRIGHTS, ", false},
		{boot{kernel: newest}, noUserNamespaces, false},
		{boot{kernel: newest, noUserNamespaces: true}, noUserNamespaces, true},
	} {
		if got := slices.Contains(test.boot.skips(), test.reason); got != test.want {
			t.Errorf("%v skips for %q: %v, want %v", test.boot, test.reason, got, test.want)
		}
	}
}
