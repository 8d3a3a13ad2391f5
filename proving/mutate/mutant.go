//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// change is the change of a mutant to a condition, a statement or a constant.
type change string

const (
	always   change = "true"     // the condition always holds
	never    change = "false"    // it never holds
	inverted change = "inverted" // it holds when it should not
	boundary change = "boundary" // < becomes <=, and so on
	dropped  change = "dropped"  // a case of a switch is missing

	removed change = "removed" // the statement is not executed

	oneMore change = "one more"     // the number is greater by one
	cleared change = "cleared"      // an operand of | is missing
	another change = "another path" // the path is another one
)

// The kinds of changes.
const (
	conditions = "conditions"
	statements = "statements"
	constants  = "constants"
)

func (c change) kind() string {
	switch c {
	case removed:
		return statements
	case oneMore, cleared, another:
		return constants
	}
	return conditions
}

// forms has the changes that a program can switch on when it starts, in the common syntax of
// Go and C. … stands for the source. ON is true if the mutant is switched on. A condition is
// always evaluated, for its side effects.
var forms = map[change]string{
	always:   "((…) || ON)",
	never:    "((…) && !ON)",
	inverted: "(ON != !!(…))",
	boundary: "(ON && (INSTEAD) || !ON && (…))",
	removed:  "{ if (!ON) { … } }", // in C an else can follow
}

// mutant is one change at one place in a source file. Its name is made of package, function
// and expression, so it stays the same if code moves to another line or file.
type mutant struct {
	pkg, function string
	expression    string // the source that changes, in one line
	nth           int    // counts equal expressions of a function, from 0
	change        change

	source     *source
	id         int // from 1, unique in a subject
	start, end int // the place in the source
	instead    string
}

// String returns the name of the mutant.
func (m *mutant) String() string {
	nth := ""
	if m.nth > 0 {
		nth = fmt.Sprintf(" #%d", m.nth+1)
	}
	return fmt.Sprintf("%s %s: %s%s => %s", m.pkg, m.function, m.expression, nth, m.change)
}

// position returns the file and the line.
func (m *mutant) position() string {
	return fmt.Sprintf("%s:%d", m.source.path, 1+strings.Count(m.source.text[:m.start], "\n"))
}

// isSwitched reports whether the mutant can be compiled into a program with other mutants.
// Cases and constants cannot, because the compiler must know them.
func (m *mutant) isSwitched() bool { return forms[m.change] != "" }

// source is a file and its mutants. The mutants are sorted: outer before inner.
type source struct {
	path     string // from the root module's folder
	text     string
	function string // the current one
	mutants  []*mutant
}

func (s *source) isGo() bool { return strings.HasSuffix(s.path, ".go") }

// add adds a mutant of text[start:end].
func (s *source) add(start, end int, c change, instead string) {
	expression := strings.Join(strings.Fields(s.text[start:end]), " ")
	switch c {
	case dropped: // name it without the body of the clause
		expression, _, _ = strings.Cut(expression, ":")
		expression = strings.Trim(expression, ", ")
	case cleared:
		expression = strings.Trim(expression, "| ")
	case removed:
		expression = strings.TrimSuffix(expression, ";")
	}
	s.mutants = append(s.mutants, &mutant{source: s, function: s.function, expression: expression,
		change: c, start: start, end: end, instead: instead})
}

// addNumber adds the mutant of a number.
func (s *source) addNumber(start, end int) {
	s.add(start, end, oneMore, "("+s.text[start:end]+" + 1)")
}

func (s *source) sort() *source {
	slices.SortStableFunc(s.mutants, func(a, b *mutant) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	return s
}

// number assigns the ids of a package's mutants, and numbers those that read the same.
func number(pkg string, sources []*source) (all []*mutant) {
	last := map[string]*mutant{}
	for _, s := range sources {
		for _, m := range s.mutants {
			key := fmt.Sprint(m.function, ":", m.expression, ":", m.change.kind())
			if before := last[key]; before != nil && before.source == s && before.start == m.start {
				m.nth = before.nth
			} else if before != nil {
				m.nth = before.nth + 1
			}
			last[key] = m
			all = append(all, m)
			m.pkg, m.id = pkg, len(all)
		}
	}
	return all
}

// alone returns the file with only this mutant.
func (m *mutant) alone() string {
	if !m.isSwitched() {
		return m.source.text[:m.start] + m.instead + m.source.text[m.end:]
	}
	on := "1"
	if m.source.isGo() {
		on = "true"
	}
	return m.source.render([]*mutant{m}, func(*mutant) string { return on })
}

// together returns the file with all mutants that can be switched.
func (s *source) together() string {
	in := slices.DeleteFunc(slices.Clone(s.mutants), func(m *mutant) bool { return !m.isSwitched() })
	return s.render(in, func(m *mutant) string { return fmt.Sprintf("peercred_is_mutant(%d)", m.id) })
}

// render returns the file with these mutants. on returns the expression that switches one on.
func (s *source) render(in []*mutant, on func(*mutant) string) string {
	before, after := map[int]string{}, map[int]string{}
	for _, m := range in { // outer before inner
		form := strings.NewReplacer("ON", on(m), "INSTEAD", m.instead).Replace(forms[m.change])
		prefix, suffix, _ := strings.Cut(form, "…")
		before[m.start] += prefix
		after[m.end] = suffix + after[m.end]
	}
	var b strings.Builder
	for i := range len(s.text) {
		b.WriteString(after[i] + before[i] + s.text[i:i+1])
	}
	return b.String() + after[len(s.text)]
}
