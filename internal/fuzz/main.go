//go:build linux && (cgo || !android)

// Command fuzz runs all fuzz targets of all modules: those in Go, which "go test
// -list" finds, and the C shims of every system on a kernel that lies (see
// cpeercred/testdata/fuzz), for libFuzzer. It fails on a finding, and says how to
// reproduce it.
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
)

var (
	fuzzTime = flag.Duration("time", 30*time.Second, "how long each target is fuzzed")
	jobs     = flag.Int("jobs", runtime.NumCPU(), "how many targets run at a time")
	only     = flag.String("run", "", "only the targets that match `regexp`")
	list     = flag.Bool("list", false, "list the targets, and do no more")
	keep     = flag.Bool("keep", false, "then minimise what was learnt into the corpora of this tree")
	planted  = flag.Bool("planted", false, "instead, plant bugs in the C shims one by one, and fail if one is not found within -time")
	zig      = flag.String("zig", "", "the `folder` of Zig's package, for the headers of other systems")
)

const usage = `usage: go run ./internal/fuzz [flags], from the root of the tree

With PEERCRED_SHIMS set, as "make fuzz" does, FuzzShims is among the targets.
Exit code: 0 nothing found, 1 a finding or a failure, 2 wrong usage.
`

func main() {
	log.SetFlags(0)
	log.SetPrefix("fuzz: ")
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage); flag.PrintDefaults() }
	flag.Parse()
	filter, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 || *jobs < 1 || *fuzzTime < time.Second {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, filter); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, filter *regexp.Regexp) error {
	places, err := findPlaces()
	if err != nil {
		return err
	}
	if *planted {
		return findPlanted(ctx, places, filter)
	}
	targets, err := findTargets(ctx, places, filter)
	if err != nil {
		return err
	}
	if *list {
		for _, t := range targets {
			fmt.Println(t.name())
		}
		return nil
	}
	outcomes := fuzzAll(ctx, targets)
	printSummary(os.Stdout, targets, outcomes)
	if err := errorOf(ctx, targets, outcomes); err != nil {
		return err
	}
	if *keep {
		for _, t := range targets {
			if err := t.keep(ctx); err != nil {
				return fmt.Errorf("%s: %w", t.name(), err)
			}
		}
	}
	return nil
}

// target is something to fuzz.
type target interface {
	name() string
	// fuzz does so for -time, from the corpus in the tree and what earlier runs learnt.
	fuzz(ctx context.Context) outcome
	// keep minimises what was learnt into the corpus in the tree.
	keep(ctx context.Context) error
}

// outcome is what became of a target.
type outcome struct {
	executions int
	learnt     int     // entries that are new in the corpus
	found      finding // the zero one if there is none
	err        error   // why it could not be fuzzed
	seconds    float64
}

type finding struct {
	says      string // what the target printed
	input     string // the file that holds the input, if there is one
	reproduce string // the command
}

func findTargets(ctx context.Context, p places, filter *regexp.Regexp) (targets []target, err error) {
	inGo, err := goTargets(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range inGo {
		targets = append(targets, t)
	}
	for _, s := range systems {
		targets = append(targets, cTarget{s, p})
	}
	kept := targets[:0]
	for _, t := range targets {
		if filter.MatchString(t.name()) {
			kept = append(kept, t)
		}
	}
	if len(kept) == 0 {
		return nil, errors.New("no target matches -run; -list lists them")
	}
	return kept, nil
}
