//go:build linux

// Command mutate shows whether the tests would notice if a check were missing. It changes
// the sources, Go and C, in one place at a time and runs the tests, which must fail. It
// prints the mutants that survive. The changes are of three kinds:
//
//   - conditions: one always holds, never holds, or is inverted; an operand of && or || is
//     dropped; a boundary is off by one; a case of a switch is missing.
//   - statements: a call, an assignment, a defer, a break or the like is not executed.
//   - constants: a number is greater by one, an operand of | is missing, or an absolute
//     path is another.
//
// Most mutants of a package are compiled into one program, which becomes one of them as it
// starts: compiling each would take hours. A mutant that survives there is compiled alone
// and tried again. Constants and the cases of a switch are always compiled alone.
//
// accepted.txt lists the mutants that may survive, and why. Only code that is compiled here
// is mutated, and the C shims of other systems, which a fake kernel runs.
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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const usage = `usage, in the folder proving, as root: go run ./mutate [flags]

Exit status: 0 if no mutant survives that is not accepted, and none is accepted that is
killed; 1 if one is, or if the tests cannot be run; 2 for wrong flags.

`

type options struct {
	kinds string
	run   *regexp.Regexp
	jobs  int
	list  bool
}

// temporary is the folder for all that a run writes.
var temporary string

func main() {
	log.SetFlags(0)
	log.SetPrefix("mutate: ")
	var names []string
	for _, s := range subjects {
		names = append(names, s.name)
	}
	o := options{run: regexp.MustCompile("")}
	packages := flag.String("package", strings.Join(names, ","), "mutate only these `packages`")
	flag.StringVar(&o.kinds, "kind", conditions, "make only these `kinds` of changes, of conditions,statements,constants")
	flag.Func("run", "try only mutants that match this `regexp` in a line of -list", func(text string) (err error) {
		o.run, err = regexp.Compile(text)
		return err
	})
	flag.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "try this `number` of mutants at a time")
	flag.BoolVar(&o.list, "list", false, "list the mutants, and try none")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	chosen, err := o.choose(*packages)
	if flag.NArg() > 0 || err != nil || o.jobs < 1 {
		log.Print(errors.Join(err, errors.New("wrong flags")))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := mutate(ctx, chosen, o); err != nil {
		log.Fatal(err)
	}
}

func (o options) choose(packages string) (chosen []*subject, err error) {
	for kind := range strings.SplitSeq(o.kinds, ",") {
		if !slices.Contains([]string{conditions, statements, constants}, kind) {
			return nil, fmt.Errorf("there is no kind %q", kind)
		}
	}
	for name := range strings.SplitSeq(packages, ",") {
		i := slices.IndexFunc(subjects, func(s *subject) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no package %q here", name)
		}
		chosen = append(chosen, subjects[i])
	}
	return chosen, nil
}

func mutate(ctx context.Context, chosen []*subject, o options) error {
	if err := os.Chdir(".."); err != nil {
		return err
	}
	accepted, err := parseAccepted(acceptedText)
	if err != nil {
		return err
	}
	if !o.list {
		if err := checkTools(); err != nil {
			return err
		}
		temporary = filepath.Join(os.TempDir(), fmt.Sprintf("m%d", os.Getpid()))
		if err := os.Mkdir(temporary, 0o755); err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		defer removeSockets(".")
	}
	wrong := 0
	for _, s := range chosen {
		r := &run{subject: s, options: o, accepted: accepted}
		if err := r.all(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		wrong += len(r.results[survived]) + len(r.results[stale])
	}
	if wrong > 0 {
		return fmt.Errorf("%d mutants are not as they should be: write a test that fails with a survivor, or accept it in proving/mutate/accepted.txt and say why", wrong)
	}
	return nil
}

// checkTools names all that is missing without which tests are skipped and mutants survive.
func checkTools() error {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root's rights")
	}
	for _, tool := range []string{"cc", "make", "strace", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if missing != nil {
		return fmt.Errorf("missing: %s; apt-get install gcc libc6-dev make strace curl", strings.Join(missing, ", "))
	}
	return nil
}

// removeSockets removes what a mutant left in the tree that takes an abstract name for a
// path. Git does not see sockets.
func removeSockets(tree string) {
	_ = filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type() == fs.ModeSocket {
			return os.Remove(path)
		}
		return err
	})
}

// What becomes of a mutant.
const (
	killed       = "killed"
	uncompilable = "uncompilable"
	excused      = "accepted"
	survived     = "survived"
	stale        = "accepted and yet not surviving"
)

// run is the work on one subject.
type run struct {
	*subject
	options
	accepted map[string]string
	sources  []*source
	plain    map[string]*program // by folder of tests, without a mutant
	together []*program

	mu      sync.Mutex
	results map[string][]string // the names of the mutants by what became of them
	tried   int
}

func (r *run) all(ctx context.Context) (err error) {
	if r.sources, err = r.load(ctx); err != nil {
		return err
	}
	var chosen []*mutant
	for _, m := range number(r.name, r.sources) {
		line := m.position() + " " + m.String()
		if slices.Contains(strings.Split(r.kinds, ","), m.change.kind()) && r.run.MatchString(line) {
			chosen = append(chosen, m)
			if r.list {
				fmt.Println(line)
			}
		}
	}
	r.results = map[string][]string{}
	if r.list || len(chosen) == 0 {
		return nil
	}
	log.Printf("%s: %d mutants; running the tests without one", r.name, len(chosen))
	if err := r.prepare(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int32
	var jobs sync.WaitGroup
	begin := time.Now()
	for job := range r.jobs {
		jobs.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(chosen) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				result, by, err := r.try(ctx, chosen[i], filepath.Join(temporary, fmt.Sprint(r.name, job)))
				if err != nil {
					cancel(err)
					return
				}
				r.report(chosen[i], result, by, len(chosen), begin)
			}
		})
	}
	jobs.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fmt.Printf("== %s: %d mutants: %d killed, %d uncompilable, %d accepted, %d survived, %d accepted but killed\n", r.name,
		len(chosen), len(r.results[killed]), len(r.results[uncompilable]), len(r.results[excused]), len(r.results[survived]), len(r.results[stale]))
	return nil
}

// prepare compiles the tests of the sources as they are, and of those with all mutants that
// can be switched. Tests that fail there, such as those of what calls cost, are left to the
// mutants that are compiled alone.
func (r *run) prepare(ctx context.Context) error {
	r.plain = map[string]*program{}
	for folder, texts := range map[string]map[string]string{"plain": nil, "all": r.subject.together(r.sources)} {
		dir := filepath.Join(temporary, r.name+folder)
		if err := r.render(dir, texts); err != nil {
			return err
		}
		for _, test := range r.tests {
			p, err := r.build(ctx, dir, test)
			if err != nil {
				return err
			}
			failed, err := p.measure(ctx)
			if err != nil {
				return err
			}
			if failed != nil {
				log.Printf("%s: left out, since they fail without a mutant (%s): %s", r.name, folder, strings.Join(failed, " "))
			}
			if texts == nil {
				r.plain[test] = p
			} else {
				r.together = append(r.together, p)
			}
		}
	}
	return nil
}

// try returns what becomes of a mutant, and the test that kills it.
func (r *run) try(ctx context.Context, m *mutant, dir string) (result, by string, err error) {
	if m.isSwitched() {
		for _, p := range r.together {
			if by, err := p.kill(ctx, m.id); by != "" || err != nil {
				return killed, by, err
			}
		}
		if r.accepted[m.String()] != "" {
			return survived, "", nil
		}
	}
	if err := r.render(dir, map[string]string{m.source.path: m.alone()}); err != nil {
		return "", "", err
	}
	for _, test := range r.tests {
		p, err := r.build(ctx, dir, test)
		if err != nil {
			return uncompilable, "", ctx.Err()
		}
		p.phases = r.plain[test].phases
		if by, err := p.kill(ctx, 0); by != "" || err != nil {
			return killed, by, err
		}
	}
	return survived, "", nil
}

// report prints a mutant that is not as it should be, and how far the work is.
func (r *run) report(m *mutant, result, by string, all int, begin time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	accepted := r.accepted[m.String()] != ""
	switch {
	case result == survived && accepted:
		result = excused
	case result == survived:
		fmt.Printf("SURVIVED: %s %v\n", m.position(), m)
	case accepted:
		fmt.Printf("STALE: accepted, and yet %s %s: %s %v\n", result, by, m.position(), m)
		result = stale
	}
	r.results[result] = append(r.results[result], m.String())
	if r.tried++; r.tried%20 == 0 || r.tried == all {
		log.Printf("%s: %d of %d tried, %d survive (%s)", r.name, r.tried, all, len(r.results[survived]), time.Since(begin).Round(time.Second))
	}
}
