//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// subject is a package to mutate, and the tests that must notice.
type subject struct {
	name   string
	module string // the folder of its module
	dir    string // the package's folder, from the module's
	cgo    string // CGO_ENABLED
	tests  []string
	other  bool // only the C code for other systems
}

// shims is the entry, among the folders of tests, for the tests of all systems' C shims on a
// fake kernel.
const shims = "the shims of all systems"

var subjects = []*subject{
	{name: "peercred", module: ".", dir: ".", cgo: "1", tests: []string{"."}},
	{name: "native", module: ".", dir: "native", cgo: "0", tests: []string{"native", "."}},
	{name: "cpeercred", module: ".", dir: "cpeercred", cgo: "1", tests: []string{shims, "cpeercred", "."}},
	{name: "shims", module: ".", dir: "cpeercred", cgo: "1", tests: []string{shims}, other: true},
	{name: "guard", module: ".", dir: "guard", cgo: "0", tests: []string{"guard"}},
	{name: "grpcpeer", module: "grpcpeer", dir: ".", cgo: "0", tests: []string{"."}},
	{name: "credentialserver", module: ".", dir: "examples/credentialserver", cgo: "0", tests: []string{"examples/credentialserver"}},
}

// variable is the environment variable that chooses one mutant of a program with several.
const variable = "PEERCRED_MUTANT"

const goSwitch = `package %s

import (
	"os"
	"strconv"
)

var peercredMutant, _ = strconv.Atoi(os.Getenv("` + variable + `"))

func peercred_is_mutant(n int) bool { return n == peercredMutant }
`

// cSwitch includes no header, because headers differ between systems.
const cSwitch = `#ifndef PEERCRED_IS_MUTANT
#define PEERCRED_IS_MUTANT
extern char *getenv(const char *);
extern int atoi(const char *);
static int peercred_is_mutant(int n) {
	static int mutant = -1;
	if (mutant == -1) {
		const char *text = getenv("` + variable + `");
		mutant = text ? atoi(text) : 0;
	}
	return n == mutant;
}
#endif
`

// load reads the subject's sources and finds their mutants.
func (s *subject) load(ctx context.Context) (sources []*source, err error) {
	out, err := output(s.command(ctx, "go", "list", "-json=GoFiles,CgoFiles,CFiles,HFiles,IgnoredOtherFiles", "./"+s.dir))
	if err != nil {
		return nil, err
	}
	var listed struct{ GoFiles, CgoFiles, CFiles, HFiles, IgnoredOtherFiles []string }
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, err
	}
	names := slices.Concat(listed.GoFiles, listed.CgoFiles, listed.CFiles)
	if s.other {
		names = slices.Concat(listed.HFiles, listed.CFiles, listed.IgnoredOtherFiles)
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(s.path(), name)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		find := cSource
		if strings.HasSuffix(name, ".go") {
			find = goSource
		}
		source, err := find(path, string(text))
		if err != nil {
			return nil, err
		}
		if slices.Contains(listed.CFiles, name) {
			if err := source.preprocess(ctx, s.other); err != nil {
				return nil, err
			}
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// preprocess keeps the mutants in code that the preprocessor keeps on this system, or those
// in the other code. It puts a mark at each mutant, and looks for the marks in the result.
func (s *source) preprocess(ctx context.Context, other bool) error {
	mark := func(start int) string { return fmt.Sprintf(" @%d@ ", start) }
	text, at := "", 0
	for _, m := range s.mutants {
		text += s.text[at:m.start]
		if at = m.start; !strings.HasSuffix(text, mark(at)) {
			text += mark(at)
		}
	}
	cmd := exec.CommandContext(ctx, "cc", "-E", "-I", filepath.Dir(s.path), "-")
	cmd.Stdin = strings.NewReader(text + s.text[at:])
	left, err := output(cmd)
	s.mutants = slices.DeleteFunc(s.mutants, func(m *mutant) bool {
		return bytes.Contains(left, []byte(strings.TrimSpace(mark(m.start)))) == other
	})
	return err
}

func (s *subject) path() string { return filepath.Join(s.module, s.dir) }

// command runs in the subject's module. An interrupted "go" removes its temporary files.
func (s *subject) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir = s.module
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+s.cgo, "GOTMPDIR="+temporary)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs a command and returns its stdout. The error contains the output.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, &stderr)
	}
	return out, err
}

// render writes changed files of the subject into dir. The tree stays unchanged: "go build"
// reads overlay.json in dir, and "make shims" reads c in dir.
func (s *subject) render(dir string, texts map[string]string) error {
	into := filepath.Join(dir, "c")
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(into, 0o755), os.Mkdir(filepath.Join(dir, "objects"), 0o755))
	if err == nil && slices.Contains(s.tests, shims) {
		err = os.CopyFS(into, os.DirFS(s.path()))
	}
	if err != nil {
		return err
	}
	replaced := map[string]string{}
	for path, text := range texts {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		replaced[absolute] = filepath.Join(into, filepath.Base(path))
		if err := os.WriteFile(replaced[absolute], []byte(text), 0o644); err != nil {
			return err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o644)
}

// together returns the sources with all mutants that can be switched.
func (s *subject) together(sources []*source) map[string]string {
	texts := map[string]string{}
	for _, source := range sources {
		text := source.together()
		switch {
		case text == source.text:
		case source.isGo():
			_, clause, _ := strings.Cut("\n"+text, "\npackage ")
			name, _, _ := strings.Cut(clause, "\n")
			texts[filepath.Join(s.path(), "zz_mutant.go")] = fmt.Sprintf(goSwitch, name)
			texts[source.path] = text
		default:
			// Below the build constraint, which names the file's system.
			texts[source.path] = strings.Replace(text, "\n#include", "\n"+cSwitch+"#include", 1)
		}
	}
	return texts
}

// build compiles tests[i] with the files that render wrote into dir.
func (s *subject) build(ctx context.Context, dir string, i int) (*program, error) {
	overlay, objects := "-overlay="+filepath.Join(dir, "overlay.json"), filepath.Join(dir, "objects")
	p := &program{path: filepath.Join(dir, fmt.Sprint(i, ".test")), dir: filepath.Join(s.module, s.tests[i]), only: "."}
	// Programs that a test builds must have the mutant too.
	p.env = []string{"CGO_ENABLED=" + s.cgo, "GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" "+overlay)}
	compile := s.command(ctx, "go", "test", "-c", "-vet=off", overlay, "-o", p.path, "./"+s.tests[i])
	if s.tests[i] == shims {
		p.dir, p.only, p.env = "native", "^TestShims", []string{"PEERCRED_SHIMS=" + objects}
		if _, err := output(s.command(ctx, "make", "--no-print-directory", "shims", "SHIMS="+objects,
			"SHIM_SOURCES="+filepath.Join(dir, "c"))); err != nil {
			return nil, err
		}
		compile = s.command(ctx, "go", "test", "-c", "-vet=off", "-tags=shims", "-o", p.path, "./native")
	}
	_, err := output(compile)
	return p, err
}
