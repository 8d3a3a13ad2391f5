//go:build linux && (cgo || !android)

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// subject is a package to be mutated, and the tests that are to notice.
type subject struct {
	name   string
	module string   // the folder of its module
	dir    string   // its own, below the module
	cgo    string   // CGO_ENABLED
	tests  []string // the packages with the tests, the quickest first
	shims  bool     // and those of the C shims on the fake kernel
	alien  bool     // only the C files of other systems, which only the fake kernel runs
}

var subjects = []*subject{
	{name: "root", module: ".", dir: ".", cgo: "1", tests: []string{"."}},
	{name: "native", module: ".", dir: "native", cgo: "0", tests: []string{"native", "."}},
	{name: "cpeercred", module: ".", dir: "cpeercred", cgo: "1", tests: []string{"cpeercred", "."}, shims: true},
	{name: "shims", module: ".", dir: "cpeercred", cgo: "1", shims: true, alien: true},
	{name: "guard", module: ".", dir: "guard", cgo: "0", tests: []string{"guard"}},
	{name: "grpcpeer", module: "grpcpeer", dir: ".", cgo: "0", tests: []string{"."}},
	{name: "credentialserver", module: ".", dir: "examples/credentialserver", cgo: "0", tests: []string{"examples/credentialserver"}},
}

// parts are the subject with each of its test programs alone, in the order of build.
func (s *subject) parts() (parts []*subject) {
	if s.shims {
		part := *s
		part.tests = nil
		parts = append(parts, &part)
	}
	for _, test := range s.tests {
		part := *s
		part.shims, part.tests = false, []string{test}
		parts = append(parts, &part)
	}
	return parts
}

// files are the subject's source files that are compiled here, and those that are not.
func (s *subject) files(ctx context.Context) (compiled, others []string, err error) {
	if s.alien {
		return s.alienFiles()
	}
	out, err := s.command(ctx, "go", "list", "-json=GoFiles,CgoFiles,CFiles,IgnoredGoFiles,IgnoredOtherFiles", "./"+s.dir).Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list ./%s: %w", s.dir, err)
	}
	var listed struct{ GoFiles, CgoFiles, CFiles, IgnoredGoFiles, IgnoredOtherFiles []string }
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, nil, err
	}
	for _, name := range append(listed.IgnoredGoFiles, listed.IgnoredOtherFiles...) {
		if !strings.HasSuffix(name, "_test.go") {
			others = append(others, name)
		}
	}
	return slices.Concat(listed.GoFiles, listed.CgoFiles, listed.CFiles), others, nil
}

func (s *subject) alienFiles() (compiled, others []string, err error) {
	for _, pattern := range []string{"*.c", "*.h"} {
		paths, err := filepath.Glob(filepath.Join(s.module, s.dir, pattern))
		if err != nil {
			return nil, nil, err
		}
		for _, path := range paths {
			name := filepath.Base(path)
			if name == "socket.c" {
				others = append(others, name+" but for Linux")
			} else if !strings.HasSuffix(name, "_linux.c") {
				compiled = append(compiled, name)
			}
		}
	}
	return compiled, others, nil
}

// load reads the subject's sources, and finds all their mutants.
func (s *subject) load(ctx context.Context) (sources []*source, others []string, err error) {
	names, others, err := s.files(ctx)
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	id := 0
	for _, name := range names {
		path := filepath.Join(s.module, s.dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		find := cSource
		if strings.HasSuffix(name, ".go") {
			find = goSource
		}
		source, err := find(path, string(text))
		if err != nil {
			return nil, nil, err
		}
		for _, m := range source.mutants {
			id++
			m.id = id
		}
		sources = append(sources, source)
	}
	return sources, others, nil
}
