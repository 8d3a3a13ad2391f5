//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/peercred/internal/staticbuild"
)

// start is a boot with all that it takes.
type start struct {
	boot
	image
	suite
	options
	profiles       []byte // of AppArmor
	compiledPolicy []byte // of SELinux
	succeeded      bool
}

// prepareAll fetches each kernel, and builds the tests for each architecture, once.
func prepareAll(ctx context.Context, dir string, chosen []boot, o options) (all []*start, err error) {
	images, suites := map[string]image{}, map[string]suite{}
	for _, b := range chosen {
		which := b.kernel.name + "/" + b.arch
		if _, has := images[which]; !has {
			if images[which], err = b.kernel.fetch(ctx, b.arch); err != nil {
				return nil, err
			}
		}
		if _, has := suites[b.arch]; !has {
			if suites[b.arch], err = build(ctx, dir, b.arch); err != nil {
				return nil, err
			}
		}
		s := &start{boot: b, image: images[which], suite: suites[b.arch], options: o}
		if b.module == apparmor {
			if s.profiles, err = b.kernel.compileProfiles(ctx); err != nil {
				return nil, err
			}
		}
		if b.policy {
			if s.compiledPolicy, err = compilePolicy(ctx); err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// tell prints a line of this boot, beside those of others.
func (s *start) tell(line string) { fmt.Printf("%s: %s\n", s.boot.name(), line) }

// run boots once, and says how it went.
func (s *start) run(ctx context.Context, dir string) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	begin := time.Now()
	if s.filter != "" {
		s.tests, s.leavesOut = s.filter, ""
	}
	runs := only(s.tests, s.leavesOut, s.runs)
	s.tell(s.whichTests() + ", with " + s.module.parameters)
	o := newOutcome(s.boot, s.release, runs, s.tell)
	if s.filter != "" {
		o.needed = nil // only what the filter matches runs
	}
	var all []string
	emulator, err := s.emulate(ctx, dir, runs, func(line string) {
		all = append(all, line)
		if s.verbose {
			s.tell(line)
		}
		o.read(line)
	})
	complaints := o.complaints()
	if err != nil {
		complaints = append(complaints, err.Error())
	}
	if len(complaints) > 0 && !s.verbose {
		s.tell("all that the machine printed:\n" + strings.Join(all, "\n"))
	}
	o.summary()
	s.tell(fmt.Sprintf("booted and powered off in %.0fs", time.Since(begin).Seconds()))
	for _, c := range complaints {
		s.tell("FAILED: " + c)
	}
	s.succeeded = len(complaints) == 0
	if s.succeeded && s.filter == "" && s.tests == "" { // a few tests prove no system
		s.prove(o.modules, emulator)
	}
}

// emulate returns the emulator's name and version.
func (s *start) emulate(ctx context.Context, dir string, runs []run, line func(string)) (emulator string, err error) {
	m := machines[s.arch]
	if emulator, err = m.version(ctx); err != nil {
		return "", err
	}
	initramfs := filepath.Join(dir, strings.ReplaceAll(s.boot.name(), "/", "-"))
	defer os.Remove(initramfs)
	p := plan{
		Environment:      s.environment(),
		NoUserNamespaces: s.noUserNamespaces,
		AppArmorProfiles: s.profiles,
		SELinuxPolicy:    s.compiledPolicy,
		Runs:             runs,
	}
	if err := s.withPlan(ctx, p, initramfs); err != nil {
		return "", err
	}
	return emulator, m.emulate(ctx, s.path, initramfs, s.module.parameters, line)
}

// prove prints what the boot has shown, in the form that the README's table of
// systems is made from.
func (s *start) prove(modules, emulator string) {
	namespaces := "with user namespaces"
	if s.noUserNamespaces {
		namespaces = "without user namespaces"
	}
	for _, setting := range staticbuild.Settings {
		fmt.Printf("proven: linux/%s %s ran by make test-kernel: Linux %s, security modules %s, %s, %s without KVM, %s\n",
			s.arch, setting.Implementation, s.release, modules, namespaces, emulator, s.whichTests())
	}
}
