//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// goTarget is a func Fuzz… of a package.
type goTarget struct {
	function string
	pkg      string // import path
	dir      string
	tags     string
}

func (t goTarget) name() string { return t.pkg[strings.IndexByte(t.pkg, '/')+1:] + "." + t.function }

// goTargets finds those of all modules in this tree.
func goTargets(ctx context.Context) (targets []goTarget, err error) {
	modules, err := filepath.Glob("*/go.mod")
	if err != nil {
		return nil, err
	}
	tags := ""
	if os.Getenv("PEERCRED_SHIMS") != "" {
		tags = "shims"
	}
	for _, mod := range append([]string{"go.mod"}, modules...) {
		dir, err := filepath.Abs(filepath.Dir(mod))
		if err != nil {
			return nil, err
		}
		found, err := goTargetsIn(ctx, dir, tags)
		if err != nil {
			return nil, err
		}
		targets = append(targets, found...)
	}
	if len(targets) == 0 {
		return nil, errors.New("there is no Go target: run it from the root of the tree")
	}
	return targets, nil
}

// goTargetsIn asks only packages whose tests have a fuzz target for their list, since
// that takes linking them.
func goTargetsIn(ctx context.Context, module, tags string) (targets []goTarget, err error) {
	const format = `{{range .TestGoFiles}}{{$.ImportPath}}|{{$.Dir}}|{{.}}
{{end}}{{range .XTestGoFiles}}{{$.ImportPath}}|{{$.Dir}}|{{.}}
{{end}}`
	files, err := mustOutput(ctx, []string{"go", "list", "-tags=" + tags, "-f", format, "./..."}, in(module))
	if err != nil {
		return nil, err
	}
	asked := map[string]bool{}
	for line := range strings.Lines(files) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 3 || asked[fields[0]] {
			continue
		}
		source, err := os.ReadFile(filepath.Join(fields[1], fields[2]))
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(source), "*testing.F)") {
			continue
		}
		asked[fields[0]] = true
		names, err := mustOutput(ctx, []string{"go", "test", "-tags=" + tags, "-list", "^Fuzz", fields[0]}, in(module))
		if err != nil {
			return nil, err
		}
		for name := range strings.Lines(names) {
			if strings.HasPrefix(name, "Fuzz") {
				targets = append(targets, goTarget{strings.TrimSpace(name), fields[0], fields[1], tags})
			}
		}
	}
	return targets, nil
}

// goTest is the command that all is done by, in the target's folder.
func (t goTarget) goTest(arguments ...string) []string {
	cmd := []string{"go", "test"}
	if t.tags != "" {
		cmd = append(cmd, "-tags="+t.tags)
	}
	return append(cmd, arguments...)
}

// busyMachine is the other explanation of a worker that hung.
const busyMachine = "If the input does not fail again, it may be the machine's fault: Go's fuzzer ends a worker that takes ten seconds for an input.\n"

func (t goTarget) fuzz(ctx context.Context) (o outcome) {
	cmd := t.goTest("-run=^$", "-fuzz=^"+t.function+"$", "-fuzztime="+fuzzTime.String(), "-fuzzminimizetime=10x", "-parallel=1", ".")
	out, err := output(ctx, cmd, in(t.dir))
	o.executions, o.learnt = goStatistics(out)
	switch {
	case err == nil || onlyTimeIsUp(out):
		return o
	case !strings.Contains(out, "--- FAIL: "+t.function):
		o.err = fmt.Errorf("%v: %w\n%s", cmd, err, out)
		return o
	}
	if strings.Contains(out, "hung or terminated unexpectedly") {
		out += busyMachine
	}
	o.found = finding{says: out, reproduce: "(cd " + t.dir + " && " + strings.Join(t.goTest("-run='^"+t.function+"$'", "."), " ") + ")"}
	if input := goInput(out); input != "" {
		o.found.input = filepath.Join(t.dir, input)
		o.found.reproduce = "(cd " + t.dir + " && " + strings.Join(t.goTest("-run='^"+t.function+"$/^"+filepath.Base(input)+"$'", "."), " ") + ")"
	}
	return o
}

var (
	progressLine = regexp.MustCompile(`execs: (\d+) .*new interesting: (\d+)`)
	inputLine    = regexp.MustCompile(`Failing input written to (\S+)`)
)

// goStatistics reads the last line of progress.
func goStatistics(out string) (executions, learnt int) {
	all := progressLine.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return 0, 0
	}
	last := all[len(all)-1]
	executions, _ = strconv.Atoi(last[1])
	learnt, _ = strconv.Atoi(last[2])
	return executions, learnt
}

func goInput(out string) string {
	if m := inputLine.FindStringSubmatch(out); m != nil {
		return m[1]
	}
	return ""
}

// onlyTimeIsUp knows the failure that is none: package testing reports the end of
// -fuzztime as the target's own when it comes in the middle of an execution
// (golang.org/issue/75804).
func onlyTimeIsUp(out string) bool {
	_, failure, ok := strings.Cut(out, "--- FAIL: ")
	_, failure, _ = strings.Cut(failure, "\n")
	failure, _, _ = strings.Cut(failure, "\n")
	return ok && strings.TrimSpace(failure) == "context deadline exceeded"
}
