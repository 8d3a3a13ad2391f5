package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// linkAll links whole programs for each port of the system.
func (s system) linkAll() error {
	for program := range strings.FieldsSeq(s.programs) {
		arch, triple, _ := strings.Cut(program, "=")
		if err := s.linkFor(arch, triple); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		fmt.Printf("cross: the command and the tests link with cgo for %s/%s\n", s.goos, arch)
	}
	return nil
}

// linkFor links the command, and the tests of peercred and cpeercred. If the system's libc
// lacks a call, the linker fails, except on macOS.
func (s system) linkFor(arch, triple string) error {
	dir, err := os.MkdirTemp("", "peercred-cross")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	environment := []string{"CGO_ENABLED=1", "GOOS=" + s.goos, "GOARCH=" + arch, "CC=" + self + " " + compilerCommand + " " + triple, zigVariable + "=" + *zig}
	for _, arguments := range [][]string{
		slices.Concat([]string{"build"}, s.link, []string{"-o", dir + "/", "./cmd/peercred"}),
		slices.Concat([]string{"test", "-c"}, s.link, []string{"-o", dir + "/", ".", "./cpeercred"}),
	} {
		if _, err := run(root, environment, "go", arguments...); err != nil {
			return err
		}
	}
	want := 3
	if s.targets == "" { // without a shim cpeercred has no tests
		want = 2
	}
	programs, err := os.ReadDir(dir)
	if err == nil && len(programs) != want {
		err = fmt.Errorf("%d programs were linked, want %d", len(programs), want)
	}
	return err
}

// As the compiler CC, Go runs this command again: "cross cc TRIPLE ARGUMENTS". The rest is
// in the environment, so that CC stays the same for Go's build cache.
const (
	compilerCommand = "cc"
	zigVariable     = "PEERCRED_CROSS_ZIG"
)

// becomeCompiler executes Zig with the arguments that Go passes to another compiler.
func becomeCompiler(arguments []string) error {
	program := filepath.Join(os.Getenv(zigVariable), "zig")
	command := []string{program, "cc", "-target", arguments[0], "-Wno-unused-command-line-argument"}
	if strings.HasSuffix(arguments[0], "-macos") {
		// Zig has libSystem, but not the libraries that Go's own packages require. The
		// calls of the shims are in libSystem: "cross c" checks their list.
		command = append(command, "-Wl,-undefined,dynamic_lookup")
	}
	for i, a := range arguments[1:] {
		switch { // options of other linkers, and for libraries that Zig does not have
		case a == "-Wl,-nopie":
			command = append(command, "-no-pie")
		case a == "-Wl,--version": // Go asks whether it is GNU's, and does not require an answer
			return errors.New("this linker is Zig's")
		case a == "-Wl,--no-execute-only", a == "-fuse-ld=bfd", a == "-framework", arguments[i] == "-framework", a == "-lresolv":
		default:
			command = append(command, a)
		}
	}
	return syscall.Exec(program, command, os.Environ())
}
