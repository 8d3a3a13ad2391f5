//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"example.com/peercred/internal/toolrun"
)

var strict = []string{"-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-O2", "-c"}

// shims compiles each system's shims for each of its targets, and checks the
// objects.
func shims(ctx context.Context, tools toolchain, only string) error {
	dir, err := os.MkdirTemp("", "peercred-cross")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	done := 0
	for _, s := range systems {
		if only != "" && !slices.Contains(s.names, only) {
			continue
		}
		for _, on := range s.targets {
			if err := s.compileAll(ctx, tools, on, filepath.Join(dir, "object.o")); err != nil {
				return err
			}
			s.report(tools, on)
			done++
		}
	}
	if done == 0 {
		return fmt.Errorf("no shim is for %q", only)
	}
	return nil
}

func (s system) compileAll(ctx context.Context, tools toolchain, on target, object string) error {
	for _, shim := range s.shims {
		arguments := slices.Concat(s.compile(tools, on), strict, []string{"-o", object, filepath.Join("cpeercred", shim.file+".c")})
		if _, err := toolrun.Output(exec.CommandContext(ctx, arguments[0], arguments[1:]...)); err != nil {
			return err
		}
		refers, err := undefined(object)
		if err != nil {
			return err
		}
		if err := shim.check(refers, s.errno); err != nil {
			return fmt.Errorf("%s for %s: %w", shim.file, on.triple, err)
		}
	}
	return nil
}

func (s system) report(tools toolchain, on target) {
	if on.arch == "" {
		fmt.Printf("cross: %s's shims compile for %s with %s, and refer to its calls alone\n", s.names[0], on.triple, s.headers)
		return
	}
	for _, name := range s.names {
		proven(name, on.arch, "compiled", "cross-c", "the C shims alone, for %s, with %s, by %s", on.triple, s.headers, tools.version)
	}
}

// check holds what the object refers to against what it must and may.
func (s shim) check(refers []string, errno string) error {
	var wrong []error
	for _, call := range s.calls {
		if !slices.Contains(refers, call) {
			wrong = append(wrong, fmt.Errorf("it does not call %s", call))
		}
	}
	for _, name := range refers {
		if name != errno && !slices.Contains(s.calls, name) && !slices.Contains(s.other, name) {
			wrong = append(wrong, fmt.Errorf("it refers to %s", name))
		}
	}
	return errors.Join(wrong...)
}
