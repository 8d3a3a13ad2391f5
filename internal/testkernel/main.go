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
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// These end what hangs. They decide no verdict where the code is right, on a busy
// machine either.
const (
	testPatience = 45 * time.Minute // for one test binary, which says where it hangs
	bootPatience = 3 * time.Hour
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
