package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var strict = []string{"-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-O2", "-c"}

// checkShims compiles the system's shims for each target, and checks the objects.
func (s system) checkShims() error {
	if s.targets == "" {
		return nil
	}
	files, err := s.shims()
	if err != nil {
		return err
	}
	if s.goos == "linux" {
		files = append(files, filepath.Join(root, "cpeercred", "testdata", "linuxheaders.c"))
	}
	for target := range strings.FieldsSeq(s.targets) {
		if err := s.checkTarget(target, files); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	fmt.Printf("cross: the C shims for %s compile for %s, and refer to its calls alone\n", s.goos, strings.Join(strings.Fields(s.targets), " "))
	return nil
}

func (s system) checkTarget(target string, files []string) error {
	dir, err := os.MkdirTemp("", "peercred-cross")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var needs, has []string
	for _, file := range files {
		object := filepath.Join(dir, filepath.Base(file)+".o")
		arguments := slices.Concat([]string{"cc", "-target", target, "-o", object}, s.words(s.flags), strict, []string{file})
		if _, err := run("", nil, filepath.Join(*zig, "zig"), arguments...); err != nil {
			return err
		}
		names, err := readSymbols(object)
		if err != nil {
			return err
		}
		needs, has = append(needs, names.needs...), append(has, names.has...)
	}
	return checkCalls(strings.Fields(alwaysCalled+" "+s.calls), needs, has)
}

// checkCalls checks the undefined symbols of the objects. They must be all of the
// calls, and otherwise only names in alwaysCalled.
func checkCalls(calls, needs, has []string) error {
	mayNeed := []string{"bcmp", "memchr", "memcmp", "memcpy", "memmove", "memset", "errno"}
	var refers []string
	for _, name := range needs {
		if name = inC(name); name != "" && !slices.Contains(has, name) {
			refers = append(refers, name)
		}
	}
	slices.Sort(refers)
	refers = slices.Compact(refers)
	var wrong []error
	for _, call := range calls {
		if !slices.Contains(refers, call) {
			wrong = append(wrong, fmt.Errorf("no object calls %s", call))
		}
	}
	for _, name := range refers {
		if !slices.Contains(calls, name) && !slices.Contains(mayNeed, name) {
			wrong = append(wrong, fmt.Errorf("an object refers to %s", name))
		}
	}
	return errors.Join(wrong...)
}

// inC returns the name of a symbol in C, or "" for a symbol that only the linker uses.
// NetBSD renames calls that changed. 32-bit systems rename calls with a time. Compilers for
// ARM rename calls by alignment.
func inC(symbol string) string {
	switch symbol {
	case "", "_GLOBAL_OFFSET_TABLE_", "_gp_disp", ".TOC.", "__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1":
		return ""
	case "__error", "__errno", "__errno_location":
		return "errno"
	case "__socket30":
		return "socket"
	case "__clock_gettime64":
		return "clock_gettime"
	}
	if name, ok := strings.CutPrefix(symbol, "__aeabi_mem"); ok {
		return "mem" + strings.Replace(strings.TrimRight(name, "48"), "clr", "set", 1)
	}
	return symbol
}
