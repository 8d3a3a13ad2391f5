//go:build cgo || (!android && !ios)

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
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
// deep it runs inside itself. It may stand behind what a program left unfinished. (Where it
// says neither, since it was told to be silent too, the Makefile refuses to go on.)
var makeFailed = regexp.MustCompile(`make(\[\d+\])?: (\*\*\* |\[)`)

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
	return union(records), lines.Err()
}

func writeFile(path string, records []record) error {
	var text strings.Builder
	for _, r := range records {
		fmt.Fprintln(&text, r)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// whole fails if news has fewer records of a place than are kept of it, or proves less by
// them: what made them ran in part there, or not at all.
func whole(kept, news []record) error {
	was, is := byPlace(kept), byPlace(news)
	var lacks strings.Builder
	for _, p := range slices.SortedFunc(maps.Keys(was), order) {
		shown := proven(is[p], was[p])
		if shown == len(was[p]) {
			continue
		}
		fmt.Fprintf(&lacks, "make %s showed %d of the %d records that are kept of %s/%s %s, without:\n",
			p.Target, shown, len(was[p]), p.System, p.Architecture, p.Implementation)
		for _, r := range was[p] {
			if !slices.Contains(is[p], r) {
				fmt.Fprintf(&lacks, "  %s\n", r.Detail)
			}
		}
	}
	if lacks.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%srun all of it, or take out of %s first what it is to show no more", &lacks, provenFile)
}

// proven counts the records of kept that have one of news to themselves which proves as
// much, or more.
func proven(news, kept []record) (n int) {
	rising := func(a, b record) int { return cmp.Compare(a.Level, b.Level) }
	kept = slices.SortedFunc(slices.Values(kept), rising)
	for _, r := range slices.SortedFunc(slices.Values(news), rising) {
		if n < len(kept) && r.Level >= kept[n].Level {
			n++
		}
	}
	return n
}

// merge replaces what is kept of the places that news is of. Its targets may have run
// elsewhere too: what they proved of another place stays.
func merge(kept, news []record) []record {
	is := byPlace(news)
	merged := slices.DeleteFunc(slices.Clone(kept), func(r record) bool { return is[place(r)] != nil })
	return union(merged, news)
}

// replaced are those of kept that merge drops.
func replaced(kept, news []record) []record {
	is := byPlace(news)
	return slices.DeleteFunc(slices.Clone(kept), func(r record) bool { return is[place(r)] == nil })
}

// union has each record once, in order.
func union(lists ...[]record) []record {
	all := slices.Concat(lists...)
	slices.SortFunc(all, order)
	return slices.Compact(all)
}

// place is where and by what a record was made.
func place(r record) record {
	return record{System: r.System, Architecture: r.Architecture, Implementation: r.Implementation, Target: r.Target}
}

func byPlace(records []record) map[record][]record {
	lists := map[record][]record{}
	for _, r := range records {
		lists[place(r)] = append(lists[place(r)], r)
	}
	return lists
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
