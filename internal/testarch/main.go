//go:build linux && (cgo || !android)

// Command testarch runs the tests for other processors than this machine's: the
// test binaries that Debian's cross compilers, or Zig, and Go build for them, by
// qemu's emulation of their system calls. Where the kernel runs the processor's
// programs itself, nothing is emulated.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/peercred/internal/staticbuild"
	"example.com/peercred/internal/testlog"
)

// patience ends a test binary that hangs, which says where; it decides no verdict where
// the code is right, on a busy machine either.
const patience = 30 * time.Minute

func main() {
	log.SetFlags(0)
	log.SetPrefix("testarch: ")
	if len(os.Args) > 3 && os.Args[1] == enterCommand {
		log.Fatal(enter(os.Args[2], os.Args[3:]))
	}
	names := flag.String("arch", "", "test only these `architectures`, as in arm64,s390x")
	filter := flag.String("run", "", "run only the tests that match `regexp`")
	verbose := flag.Bool("v", false, "print all that the tests print, not only when they failed")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/testarch [-arch list] [-run regexp] [-v], from the module's root, as root\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	some, err := choose(*names)
	if err != nil {
		log.Print(err)
	}
	if err != nil || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	// SIGPIPE too, since our files must not outlive a reader who left.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := test(ctx, some, *filter, *verbose); err != nil {
		log.Fatal(err)
	}
}

// choose finds architectures by their names; none means all.
func choose(list string) (some []architecture, err error) {
	if list == "" {
		return architectures, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(architectures, func(a architecture) bool { return a.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is no architecture that it knows", name)
		}
		some = append(some, architectures[i])
	}
	return some, nil
}

func test(ctx context.Context, some []architecture, filter string, verbose bool) error {
	if err := checkTools(some); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peercred-testarch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users start what is in it
		return err
	}
	if slices.ContainsFunc(some, architecture.emulated) {
		printExceptions()
	}
	failed := 0
	for _, a := range some {
		well, err := a.test(ctx, filepath.Join(dir, a.name), filter, verbose)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		if !well {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d architectures failed", failed, len(some))
	}
	return nil
}

// test runs both settings, and says whether all went well.
func (a architecture) test(ctx context.Context, dir, filter string, verbose bool) (well bool, err error) {
	runner, err := a.runner()
	if err != nil {
		return false, err
	}
	fmt.Printf("== %s, on %s\n", a.name, runner)
	began := time.Now()
	var binaries []*binary
	for _, s := range staticbuild.Settings {
		built, err := a.build(ctx, s, dir)
		if err != nil {
			return false, err
		}
		binaries = append(binaries, built...)
	}
	fmt.Printf("  built in %.0fs\n", time.Since(began).Seconds())
	a.runAll(ctx, binaries, filter)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	well = true
	for _, s := range staticbuild.Settings {
		if a.report(s, binaries, filter, verbose) {
			if filter == "" {
				fmt.Printf("proven: linux/%s %s %s by make test-arch: %s, %s\n", a.name, s.Implementation, a.level(), runner, a.detail(s))
			}
			continue
		}
		well = false
	}
	fmt.Printf("  %s took %.0fs\n", a.name, time.Since(began).Seconds())
	return well, os.RemoveAll(dir) // now, since all together are large
}

func (a architecture) detail(s staticbuild.Setting) string {
	if s.CGO == "0" {
		return "without cgo"
	}
	return a.libc
}

// runAll keeps every processor of this machine busy.
func (a architecture) runAll(ctx context.Context, binaries []*binary, filter string) {
	free := make(chan struct{}, runtime.NumCPU())
	var all sync.WaitGroup
	for _, b := range binaries {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			b.run(ctx, a, filter)
		})
	}
	all.Wait()
}

// printSkips lists the tests by reason.
func printSkips(skips []testlog.Skip) {
	of := map[string][]string{}
	for _, s := range skips {
		of[s.Reason] = append(of[s.Reason], s.Test)
	}
	for _, reason := range slices.Sorted(maps.Keys(of)) {
		fmt.Printf("    skipped: %s\n      %s\n", reason, strings.Join(of[reason], "\n      "))
	}
}

// report prints what a setting's binaries told, and says whether all went well.
func (a architecture) report(s staticbuild.Setting, binaries []*binary, filter string, verbose bool) bool {
	var total testlog.Counts
	var complaints []string
	for _, b := range binaries {
		if b.setting.CGO != s.CGO {
			continue
		}
		total.Add(b.log.Counts)
		wrong := b.complaints(a, filter)
		for _, c := range wrong {
			complaints = append(complaints, b.pkg+" "+c)
		}
		if verbose || len(wrong) > 0 {
			fmt.Print(b.output)
		}
	}
	if total.Passed == 0 {
		complaints = append(complaints, "no test passed")
	}
	must := ""
	if total.Failed > 0 && len(complaints) == 0 {
		must = "; those that failed must"
	}
	fmt.Printf("  %s: %s%s\n", s, total, must)
	printSkips(total.Skipped)
	for _, c := range complaints {
		fmt.Printf("  FAILED: %s %s\n", s, c)
	}
	return len(complaints) == 0
}
