//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"slices"
	"strings"
)

// report prints what became of a subject's mutants, and counts what is to be seen to:
// the survivors that are not accepted, and the acceptances of what is no survivor.
func (r *run) report(others []string) {
	count := map[outcome]int{}
	var survivors, equivalent, late []*mutant
	left := 0
	for _, m := range r.chosen {
		if r.left[m] {
			left++
			continue
		}
		result := r.results[m]
		_, accepted := r.reasons[m.identity]
		switch {
		case result.Outcome == survived && accepted:
			equivalent = append(equivalent, m)
			continue
		case result.Outcome == survived:
			survivors = append(survivors, m)
		case result.Outcome == timedOut:
			late = append(late, m)
		}
		count[result.Outcome]++
	}
	fmt.Printf("== %s: %d mutants: %d killed, %d timed out, %d uncompilable, %d accepted, %d survived; %d not compiled here\n", r.name,
		len(r.chosen), count[killed], count[timedOut], count[uncompilable], len(equivalent), count[survived], left)
	if len(others) > 0 {
		fmt.Printf("   files that cannot run here: %s\n", strings.Join(others, " "))
	}
	for _, m := range late {
		fmt.Printf("   timed out: %s:%d %s, %q %s, in %s\n", m.File, m.line, m.Function, m.Condition, m.Change, r.results[m].By)
	}
	for _, m := range equivalent {
		fmt.Printf("   accepted: %s:%d %s, %q %s: %s\n", m.File, m.line, m.Function, m.Condition, m.Change, r.reasons[m.identity])
	}
	for _, m := range survivors {
		fmt.Printf("   SURVIVED: %s:%d %s, %q %s\n%s", m.File, m.line, m.Function, m.Condition, m.Change, m.diff(r.of[m]))
	}
	r.problems = len(survivors)
	for _, i := range r.stale() {
		fmt.Printf("   STALE: accepted, and yet %s\n", i)
		r.problems++
	}
}

// stale are the acceptances of mutants that there are no more, or that are killed.
func (r *run) stale() (stale []string) {
	seen := map[identity]bool{}
	for m := range r.of {
		seen[m.identity] = true
	}
	for _, m := range r.chosen {
		if _, ok := r.reasons[m.identity]; ok && r.results[m].Outcome != survived {
			stale = append(stale, fmt.Sprintf("%s: %v", r.results[m].Outcome, m.identity))
		}
	}
	for i := range r.reasons {
		if slices.ContainsFunc(r.sources, func(s *source) bool { return s.path == i.File }) && !seen[i] {
			stale = append(stale, fmt.Sprintf("not there: %v", i))
		}
	}
	slices.Sort(stale)
	return stale
}
