//go:build linux

package main

import (
	"slices"

	"example.com/peercred/benchmarks/internal/order"
)

// report is all that a run of the bench found out.
type report struct {
	machine machine
	rounds  int
	runs    []*run
	calls   map[setting]map[string]map[string]int // system calls of a question, by subject and name
	sizes   map[setting]size
}

// of returns what was measured of a group in a setting, and an empty run if it was
// not.
func (r *report) of(group string, s setting) *run {
	i := slices.IndexFunc(r.runs, func(run *run) bool { return run.group == group && run.setting == s })
	if i < 0 {
		return &run{group: group, setting: s}
	}
	return r.runs[i]
}

// subjects are those of a group in either setting, in their order.
func (r *report) subjects(group string) (subjects []order.Subject) {
	for _, s := range []setting{cgo, native} { // cgo has more
		for _, subject := range r.of(group, s).subjects {
			if !slices.ContainsFunc(subjects, func(known order.Subject) bool { return known.Name == subject.Name }) {
				subjects = append(subjects, subject)
			}
		}
	}
	return subjects
}
