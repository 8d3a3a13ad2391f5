//go:build cgo || (!android && !ios)

package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// record is one thing that was proven: what a make target prints when it succeeds.
type record struct {
	System, Architecture string // as Go spells them
	Implementation       string // cpeercred or native
	Level                level
	Target               string // of make
	Detail               string // kernel, emulator, compiler
}

// level is how much was proven.
type level int

// From the least to the most.
const (
	compiled level = iota
	linked         // a whole program, against the system's own headers and libraries
	emulated       // the tests passed, on another kernel or processor that stands in
	ran            // the tests passed on a real kernel, in a virtual machine too
)

var levels = []string{"compiled", "linked", "emulated", "ran"}

func (l level) String() string { return levels[l] }

var line = regexp.MustCompile(`^proven: (\w+)/(\w+) (cpeercred|native) (\w+) by make ([\w-]+): (.+)$`)

// parse reads one line of a log. ok is false for what is no record; what begins as
// one and is none is an error.
func parse(text string) (r record, ok bool, err error) {
	if !strings.HasPrefix(text, "proven:") {
		return record{}, false, nil
	}
	m := line.FindStringSubmatch(text)
	if m == nil {
		return record{}, false, fmt.Errorf("not a record: %q", text)
	}
	l := slices.Index(levels, m[4])
	if l < 0 {
		return record{}, false, fmt.Errorf("no level %q: %q", m[4], text)
	}
	return record{m[1], m[2], m[3], level(l), m[5], m[6]}, true, nil
}

// String is the line that parse reads.
func (r record) String() string {
	return fmt.Sprintf("proven: %s/%s %s %s by make %s: %s",
		r.System, r.Architecture, r.Implementation, r.Level, r.Target, r.Detail)
}

// claim leaves out the detail, which differs between machines.
func (r record) claim() record {
	r.Detail = ""
	return r
}

// order sorts by place, the best proof first.
func order(a, b record) int {
	return cmp.Or(
		cmp.Compare(a.System, b.System),
		cmp.Compare(a.Architecture, b.Architecture),
		cmp.Compare(a.Implementation, b.Implementation),
		-cmp.Compare(a.Level, b.Level),
		cmp.Compare(a.Target, b.Target),
		cmp.Compare(a.Detail, b.Detail))
}
