package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// remembered are the variables in which Linux's shims remember that the kernel passed a
// check, and a socket. The fake kernel clears them for each input.
var remembered = []string{"--globalize-symbol=packet_ends_are_right", "--globalize-symbol=sock_diag"}

// buildKernel links the system's shims to the fake kernel and its driver, as DIR/SYSTEM. It
// renames the calls of the shims, so that the driver, its libc and the sanitizers still use
// the calls of this machine.
func (s system) buildKernel(dir, driver, sanitizers string) error {
	if s.here == "" {
		return nil
	}
	shims, err := s.shims()
	if err != nil {
		return err
	}
	objects, err := os.MkdirTemp("", "peercred-cross")
	if err != nil {
		return err
	}
	defer os.RemoveAll(objects)
	folder := filepath.Join(root, "cpeercred", "testdata", "kernel")
	compile := func(file string, flags ...string) (object string, err error) {
		object = filepath.Join(objects, filepath.Base(file)+".o")
		_, err = run("", nil, "clang", slices.Concat([]string{"-c", "-O1", "-g", "-std=c11", "-fno-sanitize-recover=all",
			"-fsanitize=" + strings.Replace(sanitizers, "fuzzer", "fuzzer-no-link", 1), "-o", object}, flags, []string{file})...)
		return object, err
	}
	link := []string{"-fsanitize=" + sanitizers, "-o", filepath.Join(dir, s.goos)}
	for _, shim := range shims { // cross c reports their warnings
		object, err := compile(shim, append(s.words(s.here), "-w", "-I"+*sources)...)
		if err != nil {
			return err
		}
		if _, err := run("", nil, "objcopy", append(remembered, "--redefine-syms="+filepath.Join(folder, "symbols"), object)...); err != nil {
			return err
		}
		link = append(link, object)
	}
	warn := []string{"-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-parameter"}
	kernel, err := compile(filepath.Join(folder, "kernel.c"), append(s.words(s.here), warn...)...)
	if err != nil {
		return err
	}
	if driver == "fuzz.c" { // it uses the system's structures
		warn = append(s.words(s.here), warn...)
	}
	driven, err := compile(filepath.Join(folder, driver), warn...)
	if err != nil {
		return err
	}
	_, err = run("", nil, "clang", append(link, kernel, driven)...)
	return err
}
