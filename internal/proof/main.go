//go:build cgo || (!android && !ios)

// Command proof keeps what the make targets have proven: which implementation ran,
// was emulated, linked or compiled on which system and processor. The targets print
// it, a line each, when they succeed; this reads their output.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
)

// What is kept, and where it is shown.
const (
	provenFile = "internal/proof/proven.txt"
	readmeFile = "README.md"
)

const usage = `usage: go run ./internal/proof [-write] [-ran TARGET,...] [-partly TARGET,...] [LOG ...], from the module's root

Reads what make targets printed, and fails if it is not what ` + provenFile + `
says that these targets prove. With -write it is written there, and into the matrix of
README.md, in place of what is kept of the same target, system, processor and
implementation. Without a log it prints all that is kept.

A target in -ran must show as many records of each as are kept, since one that ran in
part (one boot, one processor) shows fewer; and so must all that is to be written. What
is to be shown no more is taken out of ` + provenFile + ` first, by hand.

A log is the whole output of make, errors too (2>&1). That make failed is seen by its
last lines: a log that was cut off before them cannot be told from one of a success.
`

func main() {
	log.SetFlags(0)
	log.SetPrefix("proof: ")
	write := flag.Bool("write", false, "keep what the logs say")
	ran := flag.String("ran", "", "the `targets` that ran as a whole: they must have shown all that is kept of them")
	partly := flag.String("partly", "", "the `targets` that ran in part, or that run on other systems too: they must have shown something")
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage); flag.PrintDefaults() }
	flag.Parse()
	if err := run(os.Stdout, *write, names(*ran), names(*partly), flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer, write bool, ran, partly, logs []string) error {
	kept, err := readFile(provenFile)
	if err != nil {
		return err
	}
	if len(logs) == 0 && !write {
		for _, r := range kept {
			fmt.Fprintln(out, r)
		}
		return nil
	}
	var news []record
	for _, path := range logs {
		records, err := readFile(path)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("%s has no line that begins with %q: did the targets succeed?", path, "proven:")
		}
		news = union(news, records)
	}
	if err := shown(news, slices.Concat(ran, partly)); err != nil {
		return err
	}
	if err := whole(of(kept, ran), news); err != nil {
		return err
	}
	if write {
		if err := whole(replaced(kept, news), news); err != nil {
			return err
		}
		merged := merge(kept, news)
		return errors.Join(writeFile(provenFile, merged), writeREADME(readmeFile, merged))
	}
	return check(out, kept, news, ran, partly)
}

// shown fails if one of the targets has shown nothing: its name or its log is wrong.
func shown(news []record, targets []string) error {
	for _, target := range targets {
		if len(of(news, []string{target})) == 0 {
			return fmt.Errorf("make %s has shown nothing", target)
		}
	}
	return nil
}

// check compares what the targets have shown with what is kept of them.
func check(out io.Writer, kept, news []record, ran, partly []string) error {
	targets := slices.Concat(ran, partly)
	unkept := without(news, kept)
	unproven := without(of(kept, ran), news)
	for _, r := range unproven {
		fmt.Fprintf(out, "kept, and not shown again: %s\n", r)
	}
	for _, r := range unkept {
		fmt.Fprintf(out, "shown, and not kept: %s\n", r)
	}
	if len(unproven)+len(unkept) > 0 {
		return fmt.Errorf("what make %s proved is not what %s says; if it should be, run \"make proof LOGS=... RAN=...\"", strings.Join(targets, ", "), provenFile)
	}
	fmt.Fprintf(out, "proof: make %s proved what the README says\n", strings.Join(targets, ", "))
	return nil
}

// names splits a list with commas.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}
