//go:build linux

// Command mutate shows whether the tests notice a missing check. It changes the sources, Go
// and C, in one place at a time and runs the tests, which must fail. It prints the mutants
// that survive. There are three kinds of changes:
//
//   - conditions: one always holds, never holds, or is inverted; an operand of && or || is
//     dropped; a boundary is off by one; a case of a switch is missing.
//   - statements: a call, an assignment, a defer, a break or the like is not executed.
//   - constants: a number is greater by one, an operand of | is missing, or an absolute
//     path is another.
//
// Most mutants of a package are compiled into one program, which activates one of them when
// it starts. Compiling each alone would take hours. A mutant that survives is compiled alone
// and tried again. Constants and the cases of a switch are always compiled alone.
//
// accepted.txt lists the mutants that may survive, and why. mutate changes only code that is
// compiled here, and the C shims of other systems, which run on a fake kernel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
	"syscall"
	"time"
)

const usage = `usage, in the folder proving, as root: go run ./mutate [flags]

-list shows the place and the name of each mutant, and -run matches both. accepted.txt has
the same names. An example:
native/socket.go:16 native Kind: err != nil => false

Exit status: 0 if the mutants that survive are those in accepted.txt; 1 if they are not, or
if the tests cannot run; 2 for wrong flags.

`

type options struct {
	kinds []string
	run   *regexp.Regexp
	list  bool
}

// temporary is the folder for all files of a run.
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
	kinds := flag.String("kind", conditions, "make only these `kinds` of changes, of conditions,statements,constants")
	flag.Func("run", "try only mutants that match this `regexp` in a line of -list", func(text string) (err error) {
		o.run, err = regexp.Compile(text)
		return err
	})
	flag.BoolVar(&o.list, "list", false, "list the mutants, and try none")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	chosen, err := pick(*packages, names)
	if err == nil {
		o.kinds, err = pick(*kinds, []string{conditions, statements, constants})
	}
	if flag.NArg() > 0 || err != nil {
		log.Print(errors.Join(errors.New("wrong flags"), err))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := mutate(ctx, chosen, o); ctx.Err() != nil {
		log.Fatal("interrupted")
	} else if err != nil {
		log.Fatal(err)
	}
}

// pick splits the list in a flag, and checks that each element is known.
func pick(list string, known []string) ([]string, error) {
	picked := strings.Split(list, ",")
	for _, name := range picked {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(known, ", "))
		}
	}
	return picked, nil
}

func mutate(ctx context.Context, chosen []string, o options) error {
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
		// A mutant that takes an abstract name for a path leaves a socket in the tree.
		defer exec.Command("find", ".", "-type", "s", "-delete").Run()
	}
	wrong := 0
	for _, s := range subjects {
		if !slices.Contains(chosen, s.name) {
			continue
		}
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

// checkTools names all missing tools. Without them tests are skipped and mutants survive.
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

// The results of a mutant.
const (
	killed       = "killed"
	uncompilable = "uncompilable"
	excused      = "accepted"
	survived     = "survived"
	stale        = "accepted and yet not surviving"
)

// run is the run of one subject.
type run struct {
	*subject
	options
	accepted map[string]string
	sources  []*source
	plain    []*program // without mutants
	together []*program // with all mutants that can be switched

	mu      sync.Mutex
	results map[string][]string // the names of the mutants by their result
	tried   int
}

func (r *run) all(ctx context.Context) (err error) {
	if r.sources, err = r.load(ctx); err != nil {
		return err
	}
	var chosen []*mutant
	for _, m := range number(r.name, r.sources) {
		line := m.position() + " " + m.String()
		if slices.Contains(r.kinds, m.change.kind()) && r.run.MatchString(line) {
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
	if r.plain, err = r.suite(ctx, "plain", nil); err != nil {
		return err
	}
	if r.together, err = r.suite(ctx, "together", r.subject.together(r.sources)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan *mutant, len(chosen))
	for _, m := range chosen {
		queue <- m
	}
	close(queue)
	var jobs sync.WaitGroup
	begin := time.Now()
	for job := range runtime.GOMAXPROCS(0) {
		jobs.Go(func() {
			for m := range queue {
				result, by, err := r.try(ctx, m, filepath.Join(temporary, fmt.Sprint(r.name, job)))
				if err != nil {
					cancel(err)
					return
				}
				r.report(m, result, by, len(chosen), begin)
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

// suite compiles the tests with changed sources, and runs them without a mutant. Tests that
// fail are left out. If a program has all mutants, tests of the cost of calls fail. So only
// mutants that are compiled alone run those.
func (r *run) suite(ctx context.Context, name string, texts map[string]string) (programs []*program, err error) {
	dir := filepath.Join(temporary, r.name+name)
	if err := r.render(dir, texts); err != nil {
		return nil, err
	}
	for i := range r.tests {
		p, err := r.build(ctx, dir, i)
		if err != nil {
			return nil, err
		}
		failed, err := p.measure(ctx)
		if err != nil {
			return nil, err
		}
		if failed != nil {
			log.Printf("%s: left out, since they fail in the program %s: %s", r.name, name, strings.Join(failed, " "))
		}
		programs = append(programs, p)
	}
	return programs, nil
}

// try returns the result of a mutant, and the test that kills it.
func (r *run) try(ctx context.Context, m *mutant, dir string) (result, by string, err error) {
	left := func(i int) bool { return r.tests[i] == shims && m.source.isGo() } // the shims have no Go code
	if m.isSwitched() {
		for i, p := range r.together {
			if left(i) {
				continue
			}
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
	for i, plain := range r.plain {
		if left(i) {
			continue
		}
		p, err := r.build(ctx, dir, i)
		if err != nil {
			return uncompilable, "", ctx.Err()
		}
		p.phases = plain.phases
		if by, err := p.kill(ctx, 0); by != "" || err != nil {
			return killed, by, err
		}
	}
	return survived, "", nil
}

// report prints a mutant with an unexpected result, and the progress.
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
