//go:build linux && (cgo || !android)

// Command mutate shows whether the tests would notice if a check were not there. It
// changes the sources in one place at a time and runs the tests, which are to fail. It
// prints the changes that they let pass. Its changes are of three kinds:
//
//   - conditions: one always holds, never holds, or is the opposite; an operand of && or
//     || is dropped; a boundary is off by one; a case of a switch is missing.
//   - statements: a call, an assignment, a defer, a break or the like is not executed.
//   - constants: a number is greater by one, an operand of | is missing, or an absolute
//     path is another.
//
// Conditions and statements of a package are mutated in one program, which picks a mutant
// as it runs: so it is compiled once and not a thousand times. What survives in there is
// compiled by itself, and tried again with all tests. Constants and the cases of a switch
// need a program each, which takes some seconds.
//
// gremlins and go-mutesting, which do this for Go, replace operators and no whole
// conditions: a guard that is a call, a name or a case of a switch they leave alone, and
// so they do C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options struct {
	packages, kinds, paths, function string
	line, jobs                       int
	list, fresh, kills               bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("mutate: ")
	var names []string
	for _, s := range subjects {
		names = append(names, s.name)
	}
	var o options
	flag.StringVar(&o.packages, "package", strings.Join(names, ","), "mutate only these `packages`")
	flag.StringVar(&o.kinds, "kind", conditions, "change only these `kinds`, of conditions, statements and constants, with commas between")
	flag.StringVar(&o.paths, "file", "", "mutate only the files whose `paths` have one of these in them")
	flag.StringVar(&o.function, "function", "", "mutate only the functions whose `name` has this in it")
	flag.IntVar(&o.line, "line", 0, "mutate only this `line`")
	flag.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "try so `many` mutants at a time")
	flag.BoolVar(&o.list, "list", false, "list the mutants, and try none")
	flag.BoolVar(&o.fresh, "fresh", false, "forget what earlier runs found out")
	flag.BoolVar(&o.kills, "kills", false, "believe in kills of earlier runs though the tests have changed since")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/mutate [flags], from the module's root, as root\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	chosen, err := choose(o.packages)
	if err == nil {
		err = checkKinds(o.kinds)
	}
	if flag.NArg() > 0 || err != nil || o.jobs < 1 {
		if err != nil {
			log.Print(err)
		}
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := mutate(ctx, chosen, o); err != nil {
		log.Fatal(err)
	}
}

func choose(names string) (chosen []*subject, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(subjects, func(s *subject) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no package %q here", name)
		}
		chosen = append(chosen, subjects[i])
	}
	return chosen, nil
}

func checkKinds(kinds string) error {
	for kind := range strings.SplitSeq(kinds, ",") {
		if !slices.Contains([]string{conditions, statements, constants}, kind) {
			return fmt.Errorf("there is no kind %q: they are %s, %s and %s", kind, conditions, statements, constants)
		}
	}
	return nil
}

func mutate(ctx context.Context, chosen []*subject, o options) error {
	if !o.list {
		if err := checkTools(); err != nil {
			return err
		}
	}
	why, err := reasons()
	if err != nil {
		return err
	}
	// Other users can enter it, and its path is short, as those of sockets must be.
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("m%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer removeSockets(".")
	failed := 0
	for _, s := range chosen {
		r := &run{subject: s, options: o, reasons: why, dir: filepath.Join(dir, s.name)}
		if err := r.all(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		failed += r.problems
	}
	if failed > 0 {
		return fmt.Errorf("%d mutants are not as they should be: write a test that fails with a survivor, or accept it in internal/mutate/accepted.go and say why", failed)
	}
	return nil
}

// removeSockets removes what a mutant left in the tree that takes an abstract name for a
// path. Git does not see sockets.
func removeSockets(tree string) {
	_ = filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type() == fs.ModeSocket {
			err = os.Remove(path)
		}
		return err
	})
}

func checkTools() error {
	if os.Geteuid() != 0 {
		return errors.New("many of the tests need root, and without them mutants survive")
	}
	for _, tool := range []string{"cc", "make", "strace", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("it takes %s, or mutants survive: apt-get install gcc libc6-dev make strace curl", tool)
		}
	}
	return nil
}

// run is what becomes of one subject.
type run struct {
	*subject
	options
	reasons  map[identity]string
	dir      string
	problems int

	sources []*source
	of      map[*mutant]*source
	chosen  []*mutant
	left    map[*mutant]bool // out by the preprocessor
	results map[*mutant]record
	cache   *cache
	begin   time.Time

	mu   sync.Mutex
	done int
}

func (r *run) all(ctx context.Context) error {
	var others []string
	var err error
	if r.sources, others, err = r.load(ctx); err != nil {
		return err
	}
	r.choose()
	if r.list {
		for _, m := range r.chosen {
			fmt.Printf("%s:%d %v\n", m.File, m.line, m.identity)
		}
		return nil
	}
	if r.cache, err = openCache(r.subject, r.fresh, r.kills); err != nil {
		return err
	}
	defer r.cache.close()
	if err := r.tryAll(ctx); err != nil {
		return err
	}
	r.report(others)
	return nil
}

func (r *run) choose() {
	r.of, r.results, r.begin = map[*mutant]*source{}, map[*mutant]record{}, time.Now()
	for _, source := range r.sources {
		for _, m := range source.mutants {
			r.of[m] = source
			named := func(part string) bool { return strings.Contains(m.File, part) }
			if slices.ContainsFunc(strings.Split(r.paths, ","), named) && strings.Contains(m.Function, r.function) && (r.line == 0 || r.line == m.line) &&
				slices.Contains(strings.Split(r.kinds, ","), m.Change.kind()) {
				r.chosen = append(r.chosen, m)
			}
		}
	}
}

// tryAll tries all chosen mutants of which it is not known what becomes of them.
func (r *run) tryAll(ctx context.Context) error {
	var todo []*mutant
	for _, m := range r.chosen {
		if known, ok := r.cache.known[m.identity]; ok {
			r.results[m] = known
		} else {
			todo = append(todo, m)
		}
	}
	// Which the preprocessor leaves out is to be known also if all else is.
	if err := r.findInactive(ctx); err != nil {
		return err
	}
	todo = slices.DeleteFunc(todo, func(m *mutant) bool { return r.left[m] })
	if len(todo) == 0 {
		return nil
	}
	log.Printf("%s: %d mutants, of which %d are known; the tests run without one", r.name, len(r.chosen), len(r.chosen)-len(todo))
	plain, together, err := r.suites(ctx)
	if err != nil {
		return err
	}
	queue := make(chan *mutant)
	failures := make(chan error, r.jobs)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for job := range r.jobs {
		go func() {
			for m := range queue {
				if err := r.try(ctx, m, plain, together, filepath.Join(r.dir, fmt.Sprint(job))); err != nil {
					cancel(err)
				}
				r.progress(len(todo))
			}
			failures <- context.Cause(ctx)
		}()
	}
	for _, m := range todo {
		if ctx.Err() != nil {
			break
		}
		queue <- m
	}
	close(queue)
	for range r.jobs {
		err = errors.Join(err, <-failures)
	}
	if err != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (r *run) findInactive(ctx context.Context) (err error) {
	dir := filepath.Join(r.dir, "inactive")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := r.render(dir, r.sources, marked); err != nil {
		return err
	}
	r.left, err = inactive(ctx, r.subject, dir, r.sources)
	return err
}

// suites are the tests of the sources as they are, which must pass, and those of the
// sources with all mutants in them, where those can fail that look at what calls cost.
func (r *run) suites(ctx context.Context) (plain, together *suite, err error) {
	for _, on := range []func(*mutant) string{nil, switched} {
		dir := filepath.Join(r.dir, "plain")
		if on != nil {
			dir = filepath.Join(r.dir, "all")
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, err
		}
		s := &suite{tests: map[*binary][]test{}, tmp: filepath.Dir(r.dir)}
		if s.binaries, err = r.build(ctx, dir, r.sources, on); err != nil {
			return nil, nil, err
		}
		for _, b := range s.binaries {
			passed, failed, err := b.measure(ctx, s.tmp)
			switch {
			case err != nil:
				return nil, nil, err
			case len(failed) > 0 && on == nil && b.failAgain(ctx, s.tmp, failed):
				return nil, nil, fmt.Errorf("tests fail without a mutation: %v", failed)
			case len(failed) > 0 && on == nil:
				log.Printf("%s: failed once and then passed, and are left out: %s", r.name, strings.Join(failed, " "))
			case len(failed) > 0:
				log.Printf("%s: with all mutants in one program these fail, and are left to the mutants that survive there: %s", r.name, strings.Join(failed, " "))
			}
			s.tests[b] = passed
		}
		if on == nil {
			plain = s
		} else {
			together = s
		}
	}
	return plain, together, nil
}

// try finds out what becomes of a mutant.
func (r *run) try(ctx context.Context, m *mutant, plain, together *suite, dir string) error {
	result := record{identity: m.identity, Outcome: survived}
	var err error
	if m.isSwitched() {
		if result.Outcome, result.By, err = together.try(ctx, m.id); err != nil {
			return err
		}
	}
	if _, accepted := r.reasons[m.identity]; result.Outcome == survived && !accepted || !m.isSwitched() {
		if result.Outcome, result.By, err = r.tryAlone(ctx, m, plain, dir); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.results[m] = result
	r.mu.Unlock()
	return r.cache.put(result)
}

// tryAlone compiles a mutant by itself, with one test program after the other.
func (r *run) tryAlone(ctx context.Context, m *mutant, plain *suite, dir string) (outcome, string, error) {
	for i, part := range r.parts() {
		os.RemoveAll(dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", "", err
		}
		binaries, err := part.build(ctx, dir, r.sources, alone(m))
		switch {
		case errors.Is(err, errUncompilable):
			return uncompilable, "", nil
		case err != nil:
			return "", "", err
		}
		tests := map[*binary][]test{binaries[0]: plain.tests[plain.binaries[i]]}
		s := &suite{binaries: binaries, tests: tests, tmp: plain.tmp}
		if o, by, err := s.try(ctx, 0); err != nil || o != survived {
			return o, by, err
		}
	}
	return survived, "", nil
}

func (r *run) progress(all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.done%20 == 0 || r.done == all {
		lived := 0
		for m, result := range r.results {
			if _, accepted := r.reasons[m.identity]; result.Outcome == survived && !accepted {
				lived++
			}
		}
		log.Printf("%s: %d of %d tried, %d survive (%s)", r.name, r.done, all, lived, time.Since(r.begin).Round(time.Second))
	}
}
