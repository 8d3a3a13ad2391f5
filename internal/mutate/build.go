//go:build linux && (cgo || !android)

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// variable tells a program with mutants in it which one to be.
const variable = "PEERCRED_MUTANT"

// The switch that is compiled in beside the mutants.
const (
	goSwitch = `
import (
	"os"
	"strconv"
)

var peercredMutant, _ = strconv.Atoi(os.Getenv("` + variable + `"))

func peercredIsMutant(n int) bool { return n == peercredMutant }
`
	cDeclaration = "extern int peercred_is_mutant(int);\n"
	// It declares what it calls: not every system's headers are whole here.
	cSwitch = `#define NULL ((void *)0)
char *getenv(const char *);
int atoi(const char *);
int peercred_is_mutant(int n);
int peercred_is_mutant(int n) {
	static int mutant = -1;
	const char *text;
	if (mutant == -1)
		mutant = (text = getenv("` + variable + `")) != NULL ? atoi(text) : 0;
	return n == mutant;
}
`
)

// switched is for render: every mutant that a program can hold beside others.
func switched(m *mutant) string {
	if !m.isSwitched() {
		return ""
	}
	return mark(m)
}

// marked is for render: every mutant that leaves its mark where the preprocessor is done.
func marked(m *mutant) string {
	if m.isReplaced() {
		return ""
	}
	return mark(m)
}

func mark(m *mutant) string {
	if isGo(m.File) {
		return "peercredIsMutant(" + strconv.Itoa(m.id) + ")"
	}
	return "peercred_is_mutant(" + strconv.Itoa(m.id) + ")"
}

// alone is for render: this mutant and no other.
func alone(m *mutant) func(*mutant) string {
	if isGo(m.File) {
		return only(m, "true")
	}
	return only(m, "1")
}

func isGo(path string) bool { return strings.HasSuffix(path, ".go") }

// binary is a test program.
type binary struct {
	path string
	dir  string // to run it in
	env  []string
	only string // a regexp for the tests that matter, if not all do
}

// errUncompilable is what build returns for source that does not compile.
var errUncompilable = errors.New("it does not compile")

// command runs in the subject's module.
func (s *subject) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir = s.module
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+s.cgo)
	return cmd
}

// build compiles the subject's tests in dir, with the sources rendered with on; as they
// are if that is nil. The tree stays as it is: the rendered files are an overlay.
func (s *subject) build(ctx context.Context, dir string, sources []*source, on func(*mutant) string) ([]*binary, error) {
	replaced, err := s.render(dir, sources, on)
	if err != nil {
		return nil, err
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		return nil, err
	}
	var binaries []*binary
	if s.shims {
		b, err := s.buildShims(ctx, dir, replaced)
		if err != nil {
			return nil, err
		}
		binaries = append(binaries, b)
	}
	for i, test := range s.tests {
		b := &binary{path: filepath.Join(dir, strconv.Itoa(i)+".test"), dir: filepath.Join(s.module, test)}
		// What a test builds is to be built of the same sources.
		b.env = []string{"CGO_ENABLED=" + s.cgo, "GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay)}
		cmd := s.command(ctx, "go", "test", "-c", "-vet=off", "-overlay="+overlay, "-o", b.path, "./"+test)
		if err := compile(ctx, cmd); err != nil {
			return nil, err
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}

// render writes the files that differ from the tree's, and returns which take whose place.
func (s *subject) render(dir string, sources []*source, on func(*mutant) string) (replaced map[string]string, err error) {
	replaced = map[string]string{}
	if on == nil {
		return replaced, nil
	}
	folder, err := filepath.Abs(filepath.Join(s.module, s.dir))
	if err != nil {
		return nil, err
	}
	put := func(name, text string) error {
		path := filepath.Join(dir, name)
		replaced[filepath.Join(folder, name)] = path
		return os.WriteFile(path, []byte(text), 0o644)
	}
	hasGo, hasC := "", false
	for _, source := range sources {
		text := source.render(on)
		if text == source.text {
			continue
		}
		if isGo(source.path) {
			hasGo = source.text
		} else {
			hasC = true
			text = strings.Replace(text, "\n#include", "\n"+cDeclaration+"#include", 1)
		}
		if err := put(filepath.Base(source.path), text); err != nil {
			return nil, err
		}
	}
	if hasGo != "" {
		_, clause, _ := strings.Cut("\n"+hasGo, "\npackage ")
		name, _, _ := strings.Cut(clause, "\n")
		if err := put("zz_mutant.go", "package "+name+"\n"+goSwitch); err != nil {
			return nil, err
		}
	}
	if hasC {
		return replaced, put("zz_mutant.c", cSwitch)
	}
	return replaced, nil
}

// buildShims links the C shims to the fake kernel, as "make test-shims" does.
func (s *subject) buildShims(ctx context.Context, dir string, replaced map[string]string) (*binary, error) {
	folder := filepath.Join(s.module, s.dir)
	shims, from := filepath.Join(dir, "shims"), filepath.Join(dir, "c")
	for _, d := range []string{shims, from} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, pattern := range []string{"*.c", "*.h"} {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			absolute, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			if other, ok := replaced[absolute]; ok {
				path = other
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(from, filepath.Base(absolute)), text, 0o644); err != nil {
				return nil, err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(from, "zz_mutant.c"), []byte(cSwitch), 0o644); err != nil {
		return nil, err
	}
	if err := compile(ctx, s.command(ctx, "make", "--no-print-directory", "shims", "SHIMS="+shims, "SHIM_SOURCES="+from)); err != nil {
		return nil, err
	}
	b := &binary{path: filepath.Join(dir, "shims.test"), dir: filepath.Join(s.module, "native"), env: []string{"PEERCRED_SHIMS=" + shims}, only: "^TestShims"}
	return b, compile(ctx, s.command(ctx, "go", "test", "-c", "-vet=off", "-tags=shims", "-o", b.path, "./native"))
}

func compile(ctx context.Context, cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s: %w\n%s", errUncompilable, strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// inactive returns the mutants of C files that the preprocessor leaves out here, of those
// that were rendered to dir.
func inactive(ctx context.Context, s *subject, dir string, sources []*source) (map[*mutant]bool, error) {
	left := map[*mutant]bool{}
	for _, source := range sources {
		if isGo(source.path) || len(source.mutants) == 0 || s.alien {
			continue
		}
		cmd := exec.CommandContext(ctx, "cc", "-E", "-I", filepath.Join(s.module, s.dir), filepath.Join(dir, filepath.Base(source.path)))
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("cc -E %s: %w", source.path, err)
		}
		for _, m := range source.mutants {
			left[m] = !m.isReplaced() && !strings.Contains(string(text), mark(m))
		}
	}
	return left, nil
}
