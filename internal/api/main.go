//go:build cgo || (!android && !ios)

// Command api pins what the modules export. Each module that is meant to be
// imported has it in an api.txt beside its go.mod, a line for each feature in the
// manner of the files in Go's own api folder. The command compares them with the
// code, or writes them: the API is the same on every system and with either
// CGO_ENABLED, and a build that exports something else is an error in any case.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const golden = "api.txt"

func main() {
	log.SetFlags(0)
	log.SetPrefix("api: ")
	write := flag.Bool("w", false, "write "+golden+" instead of comparing with it")
	ports := flag.String("ports", "", "look at the builds without cgo for these `GOOS/GOARCH` too, separated by spaces")
	cgoPorts := flag.String("cgo-ports", "", "look at the builds with cgo for these `GOOS/GOARCH=TARGET` too, by Zig's name of the target")
	zig := flag.String("zig", "zig", "`command` that is Zig")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/api [flags] MODULE-FOLDER...\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	builds, err := buildsFor(strings.Fields(*ports), strings.Fields(*cgoPorts), *zig)
	if err != nil || flag.NArg() == 0 {
		if err != nil {
			log.Print(err)
		}
		flag.Usage()
		os.Exit(2)
	}
	for _, folder := range flag.Args() {
		if err := pin(folder, builds, *write); err != nil {
			log.Fatalf("%s: %v", folder, err)
		}
	}
}

// pin compares the module in folder with its golden file, or writes that.
func pin(folder string, builds []build, write bool) error {
	first, err := builds[0].features(folder)
	if err != nil {
		return fmt.Errorf("%s: %w", builds[0].name, err)
	}
	if len(first) == 0 {
		return errors.New("no package there is meant to be imported")
	}
	for _, b := range builds[1:] {
		features, err := b.features(folder)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		if diff := difference(first, features); diff != "" {
			return fmt.Errorf("%s (+) exports something else than %s (-):\n%s", b.name, builds[0].name, diff)
		}
	}
	path := filepath.Join(folder, golden)
	if write {
		if err := os.WriteFile(path, []byte(strings.Join(first, "\n")+"\n"), 0o644); err != nil {
			return err
		}
		fmt.Printf("api: %s has %d features, the same in %d builds\n", path, len(first), len(builds))
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if diff := difference(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), first); diff != "" {
		return fmt.Errorf("the API is not what %s says: if it is meant to be so, \"make api\" writes it\n%s", path, diff)
	}
	fmt.Printf("api: %s is what all %d builds export, %d features\n", path, len(builds), len(first))
	return nil
}

// difference lists the lines that one of two sorted lists has alone.
func difference(before, after []string) string {
	var lines strings.Builder
	only := func(sign string, some, others []string) {
		for _, line := range some {
			if _, found := slices.BinarySearch(others, line); !found {
				fmt.Fprintf(&lines, "%s%s\n", sign, line)
			}
		}
	}
	only("-", before, after)
	only("+", after, before)
	return lines.String()
}
