//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"strings"

	"example.com/peercred/internal/testlog"
)

// outcome is what one boot told.
type outcome struct {
	filter  string
	kernel  string
	modules string
	results []*result
	current *result // whose lines are read
	ended   bool
}

func newOutcome(runs []run, filter string) *outcome {
	o := &outcome{filter: filter}
	for _, r := range runs {
		o.results = append(o.results, &result{run: r})
	}
	return o
}

// read takes the machine's next line.
func (o *outcome) read(line string) {
	var i, code int
	switch {
	case told(line, startLine, &i) && o.has(i):
		o.current = o.results[i]
		o.current.begin()
	case told(line, exitLine, &i, &code) && o.has(i):
		o.results[i].exit(code)
		o.current = nil
	case told(line, endLine):
		o.ended = true
	case o.current != nil:
		o.current.Read(line)
	case told(line, kernelLine, &o.kernel, &o.modules):
		fmt.Printf("  "+strings.TrimPrefix(kernelLine, mark)+"\n", o.kernel, o.modules)
	}
}

func told(line, format string, values ...any) bool {
	n, err := fmt.Sscanf(line, format, values...)
	return err == nil && n == len(values)
}

func (o *outcome) has(i int) bool { return 0 <= i && i < len(o.results) }

// total is what all binaries of a setting told.
func (o *outcome) total(s setting) (t testlog.Counts) {
	for _, r := range o.results {
		if r.Setting == s.name() {
			t.Add(r.Counts)
		}
	}
	return t
}

// complaints are what is wrong with the boot, if anything.
func (o *outcome) complaints() (list []string) {
	if !strings.HasPrefix(o.kernel, kernelSeries) {
		list = append(list, fmt.Sprintf("the machine tells kernel %q, want %sx", o.kernel, kernelSeries))
	}
	for _, r := range o.results {
		for _, c := range r.complaints() {
			list = append(list, r.Setting+" "+r.Package+" "+c)
		}
		if o.filter == "" && r.Passed == 0 {
			list = append(list, r.Setting+" "+r.Package+" passed no test")
		}
	}
	for _, s := range settings {
		if o.total(s).Passed == 0 {
			list = append(list, s.name()+" passed no test")
		}
	}
	if !o.ended {
		list = append(list, "the machine did not come to the end of its plan")
	}
	return list
}

func (o *outcome) print() {
	for _, s := range settings {
		t := o.total(s)
		fmt.Printf("  %s on %s: %s\n", s.name(), o.kernel, t)
		for _, s := range t.Skipped {
			fmt.Printf("    skipped %s: %s\n", s.Test, s.Reason)
		}
	}
}
