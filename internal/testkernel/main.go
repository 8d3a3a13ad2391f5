//go:build linux && (cgo || !android)

// Command testkernel runs the tests on a kernel that is not this machine's: on
// Debian's 6.1, in a virtual machine without KVM. It builds the test binaries,
// packs them with itself into an initramfs, and boots that once per security
// module that matters. In the machine it is the init, and runs them as root.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// boot is one start of the machine, and what the tests are to find there. They
// are told, so that a test cannot take what it finds for what it should find.
type boot struct {
	title       string
	parameters  string // of the kernel
	tests       string // a regexp for those that matter there, if not all do
	environment []string
}

var boots = []boot{
	{
		title:      "no security module",
		parameters: "lsm=",
		environment: []string{
			"PEERCRED_TEST_KERNEL_HAS_PIDFD=no", // SO_PEERPIDFD came with 6.5
			"PEERCRED_TEST_SECURITY_LABEL=",
		},
	},
	{
		// As security=none leaves it: SO_PEERSEC succeeds, and writes nothing.
		title:      "the BPF security module alone",
		parameters: "lsm=bpf",
		tests:      "Label|Support",
		environment: []string{
			"PEERCRED_TEST_KERNEL_HAS_PIDFD=no",
			"PEERCRED_TEST_SECURITY_LABEL=",
		},
	},
	{
		title:      "SELinux without a policy",
		parameters: "security=selinux selinux=1",
		environment: []string{
			"PEERCRED_TEST_KERNEL_HAS_PIDFD=no",
			"PEERCRED_TEST_SECURITY_LABEL=kernel",
		},
	},
}

const (
	bootTimeout = 10 * time.Minute
	testTimeout = 4 * time.Minute // of one binary, earlier, because it says where it hangs
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("testkernel: ")
	if os.Getpid() == 1 {
		guest()
		return
	}
	run := flag.String("run", "", "run only the tests that match `regexp`")
	verbose := flag.Bool("v", false, "print all that the machine prints, not only when it failed")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/testkernel [-run regexp] [-v], from the module's root\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	// SIGPIPE too, since the machine and our files must not outlive a reader who left.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := host(ctx, *run, *verbose); err != nil {
		log.Fatal(err)
	}
}

func host(ctx context.Context, filter string, verbose bool) error {
	if err := checkTools(); err != nil {
		return err
	}
	kernel, err := fetchKernel(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peercred-testkernel")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "root")
	runs, err := build(ctx, root)
	if err != nil {
		return err
	}
	failed := 0
	for _, b := range boots {
		initramfs := filepath.Join(dir, "initramfs")
		tests := cmp.Or(filter, b.tests)
		some := only(tests, runs)
		if err := pack(ctx, root, plan{b.environment, some}, initramfs); err != nil {
			return err
		}
		if !b.run(ctx, kernel, initramfs, newOutcome(some, tests), verbose) {
			failed++
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d boots failed", failed, len(boots))
	}
	return nil
}

// run boots once, and says whether all went well.
func (b boot) run(ctx context.Context, kernel, initramfs string, o *outcome, verbose bool) bool {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	fmt.Printf("== %s (%s)\n", b.title, b.parameters)
	begin := time.Now()
	var all []string
	err := emulate(ctx, kernel, initramfs, b.parameters, func(line string) {
		all = append(all, line)
		if verbose {
			fmt.Println(line)
		}
		o.read(line)
	})
	complaints := o.complaints()
	if err != nil {
		complaints = append(complaints, err.Error())
	}
	if len(complaints) > 0 && !verbose {
		for _, line := range all {
			fmt.Println(line)
		}
	}
	o.print()
	fmt.Printf("  booted and powered off in %.0fs\n", time.Since(begin).Seconds())
	for _, c := range complaints {
		fmt.Printf("  FAILED: %s\n", c)
	}
	return len(complaints) == 0
}
