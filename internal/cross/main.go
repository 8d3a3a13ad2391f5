//go:build linux && (cgo || !android)

// Command cross compiles peercred's C for systems that are not this one, and says
// what came of it. It needs Zig, which carries their headers and libraries.
//
//	cross tools   checks that all is there that make cross takes
//	cross shims   compiles each C shim by itself, for every system, and checks that
//	              the object refers to the system's calls and to nothing else
//	cross link    links whole programs with cgo: the command, and the tests of
//	              peercred and cpeercred
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("cross: ")
	if len(os.Args) > 1 && os.Args[1] == compilerCommand {
		log.Fatal(becomeCompiler(os.Args[2:]))
	}
	zig := flag.String("zig", "", "`path` of the zig command")
	python := flag.String("python", "python3", "`path` of the python that installs Zig")
	only := flag.String("os", "", "the one `system` to compile for, as GOOS spells it")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/cross -zig path [-python path] [-os system] tools|shims|link, from the module's root\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.Arg(0) == "tools" && flag.NArg() == 1 && *zig != "" {
		if err := checkTools(*zig, *python); err != nil {
			log.Fatal(err)
		}
		return
	}
	run, ok := map[string]func(context.Context, toolchain, string) error{"shims": shims, "link": link}[flag.Arg(0)]
	if !ok || flag.NArg() != 1 || *zig == "" {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tools, err := findTools(ctx, *zig)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, tools, *only); err != nil {
		log.Fatal(err)
	}
}

// proven is the form in which a program collects what was established.
func proven(system, arch, level, target, format string, a ...any) {
	fmt.Printf("proven: %s/%s cpeercred %s by make %s: %s\n", system, arch, level, target, fmt.Sprintf(format, a...))
}
