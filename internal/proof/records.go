//go:build cgo || (!android && !ios)

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// readFile returns the records in a log, or in the file that keeps them.
func readFile(path string) ([]record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	records, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, nil
}

// makeFailed is what GNU make prints last when a target failed, or each time that it was
// told to go on. It is called gmake where another make is the system's own, and counts how
// deep it runs inside itself. It may stand behind what a program left unfinished.
var makeFailed = regexp.MustCompile(`make(\[\d+\])?: (\*\*\* |\[.*\(ignored\))`)

// read returns each record once, in order. A target may print records before it fails,
// which then prove nothing.
func read(log io.Reader) (records []record, err error) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if makeFailed.MatchString(text) {
			return nil, fmt.Errorf("a target failed: %q", text)
		}
		r, ok, err := parse(text)
		if err != nil {
			return nil, err
		}
		if ok {
			records = append(records, r)
		}
	}
	slices.SortFunc(records, order)
	return slices.Compact(records), lines.Err()
}

func writeFile(path string, records []record) error {
	var text strings.Builder
	for _, r := range records {
		fmt.Fprintln(&text, r)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// merge replaces what the targets of news proved before: all of it for those that ran
// as a whole. Others may have run in part, or elsewhere: what they proved of a place
// that news does not name stays.
func merge(kept, news []record, ran []string) []record {
	again := map[record]bool{}
	for _, r := range news {
		again[place(r)] = true
	}
	merged := slices.DeleteFunc(slices.Clone(kept), func(r record) bool {
		return again[place(r)] || slices.Contains(ran, r.Target)
	})
	merged = append(merged, news...)
	slices.SortFunc(merged, order)
	return slices.Compact(merged)
}

// place is where and by what a record was made.
func place(r record) record {
	return record{System: r.System, Architecture: r.Architecture, Implementation: r.Implementation, Target: r.Target}
}

func of(records []record, targets []string) (some []record) {
	for _, r := range records {
		if slices.Contains(targets, r.Target) {
			some = append(some, r)
		}
	}
	return some
}

// without returns the claims of records that others do not make.
func without(records, others []record) (rest []record) {
	made := map[record]bool{}
	for _, r := range others {
		made[r.claim()] = true
	}
	for _, r := range records {
		if !made[r.claim()] {
			made[r.claim()] = true
			rest = append(rest, r)
		}
	}
	return rest
}
