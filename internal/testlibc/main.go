//go:build linux && (cgo || !android)

// Command testlibc runs the tests with cgo as several compilers build them, with
// glibc and with musl, and under the sanitizers. Each build is first asked for its
// libc, and each sanitizer shown a bug that it must catch. It needs root, as some of
// the tests do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"example.com/peercred/internal/toolrun"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("testlibc: ")
	only := flag.String("only", "", "only the builds whose title matches `regexp`")
	run := flag.String("run", "", "run only the tests that match `regexp`, which proves nothing")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/testlibc [-only regexp] [-run regexp], from the module's root\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	wanted, err := regexp.Compile(*only)
	if flag.NArg() > 0 || err != nil {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := testAll(ctx, builds(), wanted, *run); err != nil {
		log.Fatal(err)
	}
}

// checkTools names all that is missing, before the first build.
func checkTools() error {
	var root error
	if os.Geteuid() != 0 {
		root = errors.New("it must be run by root, for peers under other ids")
	}
	return errors.Join(root, toolrun.Missing(
		toolrun.Tool{Command: "gcc", Packages: "gcc libc6-dev"},
		toolrun.Tool{Command: "clang", Packages: "clang libclang-rt-14-dev"},
		toolrun.Tool{Command: "musl-gcc", Packages: "musl-tools"},
		toolrun.Tool{Command: "strace", Packages: "strace"},
	))
}

func testAll(ctx context.Context, all []build, wanted *regexp.Regexp, filter string) error {
	if err := checkTools(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peercred-testlibc")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ran, failed := 0, 0
	for _, b := range all {
		if !wanted.MatchString(b.title()) {
			continue
		}
		ran++
		begin := time.Now()
		fmt.Printf("== %s\n", b.title())
		counts, err := b.test(ctx, dir, filter)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Printf("  %s in %.0fs\n", counts, time.Since(begin).Seconds())
		if err != nil {
			failed++
			fmt.Printf("  FAILED: %v\n", err)
		} else if filter == "" {
			fmt.Printf("proven: linux/%s cpeercred ran by make test-libc: %s\n", runtime.GOARCH, b.title())
		}
	}
	switch {
	case ran == 0:
		return fmt.Errorf("no build's title matches %q", wanted)
	case failed > 0:
		return fmt.Errorf("%d of %d builds failed", failed, ran)
	}
	return nil
}
