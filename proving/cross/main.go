// Command cross builds peercred's C code for other systems. Zig has their headers and
// libraries.
//
//	cross c             compiles each system's shims for all its processors, and checks
//	                    which calls the objects refer to
//	cross cgo           links the command, and the tests of peercred and cpeercred, with cgo
//	cross kernel DIR    links each system's shims to the fake kernel of
//	                    cpeercred/testdata/kernel, as programs for this machine that
//	                    the tests of native run: DIR/SYSTEM
//	cross fuzzer DIR    links the same to libFuzzer
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var (
	zig     = flag.String("zig", "", "the `folder` of Zig, which pip installs")
	sources = flag.String("sources", "", "another `folder` of shims than cpeercred")
)

// root is the folder of the library's module.
var root string

func main() {
	log.SetFlags(0)
	log.SetPrefix("cross: ")
	if len(os.Args) > 1 && os.Args[1] == compilerCommand {
		log.Fatal(becomeCompiler(os.Args[2:]))
	}
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: cross -zig FOLDER [-sources FOLDER] c | cgo | kernel DIR | fuzzer DIR")
		flag.PrintDefaults()
	}
	flag.Parse()
	dir := flag.Arg(1)
	command := map[string]func(system) error{
		"c":      system.checkShims,
		"cgo":    system.linkAll,
		"kernel": func(s system) error { return s.buildKernel(dir, "ask.c", "undefined") },
		"fuzzer": func(s system) error { return s.buildKernel(dir, "fuzz.c", "fuzzer,address,undefined") },
	}[flag.Arg(0)]
	if needsDir := flag.Arg(0) == "kernel" || flag.Arg(0) == "fuzzer"; command == nil || *zig == "" || needsDir != (dir != "") {
		flag.Usage()
		os.Exit(2)
	}
	if err := runAll(command); err != nil {
		log.Fatal(err)
	}
}

func runAll(command func(system) error) error {
	out, err := run("", nil, "go", "list", "-m", "-f", "{{.Dir}}", "example.com/peercred")
	if err != nil {
		return err
	}
	root = strings.TrimSpace(out)
	if *sources == "" {
		*sources = filepath.Join(root, "cpeercred")
	}
	for _, path := range []*string{zig, sources} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	for _, s := range systems {
		if err := command(s); err != nil {
			return fmt.Errorf("%s: %w", s.goos, err)
		}
	}
	return nil
}

// run runs a command. The error contains its output.
func run(dir string, environment []string, name string, arguments ...string) (string, error) {
	cmd := exec.Command(name, arguments...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), nil
}
