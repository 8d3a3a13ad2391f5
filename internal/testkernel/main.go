//go:build linux && (cgo || !android)

// Command testkernel runs the tests on kernels that are not this machine's: on
// those of Debian, for several architectures and security modules, in virtual
// machines without KVM. It builds the test binaries, packs them with itself into
// an initramfs, and boots that once per line of a table. In the machine it is the
// init, and runs them as root.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	bootTimeout = 40 * time.Minute
	testTimeout = 15 * time.Minute // of one binary, earlier, because it says where it hangs
)

const usage = `usage: go run ./internal/testkernel [-list] [-boot regexp] [-run regexp] [-jobs n] [-v], from the module's root
`

func main() {
	log.SetFlags(0)
	log.SetPrefix("testkernel: ")
	if os.Getpid() == 1 {
		guest()
		return
	}
	list := flag.Bool("list", false, "list the boots, and boot none")
	which := flag.String("boot", "", "boot only those whose line in -list matches `regexp`")
	run := flag.String("run", "", "run only the tests that match `regexp`")
	jobs := flag.Int("jobs", 2, "boot `n` machines at a time")
	verbose := flag.Bool("v", false, "print all that the machines print, not only of those that failed")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	chosen, err := choose(*which)
	if flag.NArg() > 0 || *jobs < 1 || err != nil {
		if err != nil {
			fmt.Fprintln(flag.CommandLine.Output(), err)
		}
		flag.Usage()
		os.Exit(2)
	}
	if *list {
		for _, b := range chosen {
			fmt.Println(b)
		}
		return
	}
	// SIGPIPE too, since the machines and our files must not outlive a reader who left.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := host(ctx, chosen, options{*run, *jobs, *verbose}); err != nil {
		log.Fatal(err)
	}
}

// choose returns the boots whose lines match which.
func choose(which string) (chosen []boot, err error) {
	pattern, err := regexp.Compile(which)
	if err != nil {
		return nil, err
	}
	for _, b := range boots {
		if pattern.MatchString(b.String()) {
			chosen = append(chosen, b)
		}
	}
	if chosen == nil {
		return nil, fmt.Errorf("no boot matches %q; -list prints them", which)
	}
	return chosen, nil
}

type options struct {
	filter  string
	jobs    int
	verbose bool
}

func host(ctx context.Context, chosen []boot, o options) error {
	if err := checkTools(chosen); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peercred-testkernel")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	started, err := prepareAll(ctx, dir, chosen, o)
	if err != nil {
		return err
	}
	waiting := make(chan *start, len(started))
	for _, s := range started {
		waiting <- s
	}
	close(waiting)
	var group sync.WaitGroup
	for range o.jobs {
		group.Go(func() {
			for s := range waiting {
				s.run(ctx, dir)
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed []string
	for _, s := range started {
		if !s.succeeded {
			failed = append(failed, s.boot.name())
		}
	}
	if failed != nil {
		return fmt.Errorf("%d of %d boots failed: %s", len(failed), len(started), strings.Join(failed, " "))
	}
	fmt.Printf("%d boots went well\n", len(started))
	return nil
}

// start is a boot with all that it takes.
type start struct {
	boot
	image
	suite
	options
	succeeded bool
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
		all = append(all, &start{boot: b, image: images[which], suite: suites[b.arch], options: o})
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
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	begin := time.Now()
	if s.filter != "" {
		s.tests, s.leavesOut = s.filter, ""
	}
	runs := only(s.tests, s.leavesOut, s.runs)
	s.tell(s.whichTests() + ", with " + s.module.parameters)
	o := newOutcome(s.boot, s.release, runs, s.tell)
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
	if s.succeeded && s.filter == "" {
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
		AppArmorProfile:  s.module == apparmor,
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
	for _, setting := range settings {
		fmt.Printf("proven: linux/%s %s ran by make test-kernel: Linux %s, security modules %s, %s, %s without KVM, %s\n",
			s.arch, setting.implementation, s.release, modules, namespaces, emulator, s.whichTests())
	}
}
