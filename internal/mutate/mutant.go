//go:build linux && (cgo || !android)

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// change is what a mutant makes of a condition, a statement or a constant.
type change string

const (
	always   change = "true"     // it holds, whatever it says
	never    change = "false"    // it does not
	inverted change = "inverted" // it holds where it should not
	boundary change = "boundary" // < is <=, and so on
	dropped  change = "dropped"  // a case of a switch is not there

	removed change = "removed" // the statement is not executed

	oneMore change = "one more"     // the number is greater by one
	cleared change = "cleared"      // an operand of | is not there
	another change = "another path" // the path is another one
)

// The kinds of mutants, by what they change.
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

// identity names a mutant by what is mutated and not by where it is, so that it
// outlives the changes around it.
type identity struct {
	File, Function string
	Condition      string // its source, or that of a statement or a constant, in one line
	Nth            int    // among those of the function and the kind that read the same, from 0
	Change         change
}

func (i identity) String() string {
	nth := ""
	if i.Nth > 0 {
		nth = fmt.Sprintf(" (no. %d)", i.Nth+1)
	}
	return fmt.Sprintf("%s %s: %q%s %s", i.File, i.Function, i.Condition, nth, i.Change)
}

// mutant is one change to one place of a source file.
type mutant struct {
	identity
	id         int // from 1, among those of a subject
	line       int
	start, end int    // what is changed, in the file
	instead    string // of boundary, dropped, cleared and another: the source that takes its place
}

// isSwitched tells the mutants that are compiled into one program, which picks one
// as it runs. A case cannot be switched off so, and a constant is the compiler's to
// decide: each has a program of its own.
func (m *mutant) isSwitched() bool { return m.Change != dropped && m.Change.kind() != constants }

// isReplaced tells the mutants of which nothing is left but what takes their place.
func (m *mutant) isReplaced() bool {
	return m.Change == dropped || m.Change == cleared || m.Change == another
}

// source is a file with the mutants that it can become.
type source struct {
	path    string // below the root module
	text    string
	mutants []*mutant
}

// add notes a mutant of text[start:end].
func (s *source) add(function string, start, end int, c change, instead string) {
	condition := oneLine(s.text[start:end])
	if c == dropped {
		condition, _, _ = strings.Cut(condition, ":") // without the clause's body
		condition = strings.Trim(condition, ", ")
	}
	if c == cleared {
		condition = strings.Trim(condition, "| ")
	}
	s.mutants = append(s.mutants, &mutant{
		identity: identity{File: s.path, Function: function, Condition: condition, Change: c},
		line:     1 + strings.Count(s.text[:start], "\n"),
		start:    start, end: end, instead: instead,
	})
}

// number tells apart the mutants that read the same.
func (s *source) number() {
	slices.SortStableFunc(s.mutants, func(a, b *mutant) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	places := map[identity][]int{}
	for _, m := range s.mutants {
		key := m.identity
		key.Change = change(m.Change.kind())
		if !slices.Contains(places[key], m.start) {
			places[key] = append(places[key], m.start)
		}
		m.Nth = len(places[key]) - 1
	}
}

// render returns the file with mutants in it. on is the expression that tells
// whether a mutant is the one to be, and empty for those to be left out.
//
// A condition that is mutated is still evaluated, and has the effects that it has.
func (s *source) render(on func(*mutant) string) string {
	var in []*mutant // sorted as number does it: outer before inner
	for _, m := range s.mutants {
		if on(m) != "" {
			in = append(in, m)
		}
	}
	return s.renderRange(0, len(s.text), in, on)
}

func (s *source) renderRange(start, end int, in []*mutant, on func(*mutant) string) string {
	var b strings.Builder
	at := start
	for len(in) > 0 {
		first := in[0]
		same := 0
		for same < len(in) && in[same].start == first.start && in[same].end == first.end {
			same++
		}
		inner := same
		for inner < len(in) && in[inner].start < first.end {
			inner++
		}
		b.WriteString(s.text[at:first.start])
		if first.isReplaced() {
			b.WriteString(first.instead)
		} else {
			b.WriteString(s.wrap(in[:same], s.renderRange(first.start, first.end, in[same:inner], on), on))
		}
		at, in = first.end, in[inner:]
	}
	b.WriteString(s.text[at:end])
	return b.String()
}

// wrap puts the mutants of one condition around it. The syntax is that of Go and C.
func (s *source) wrap(mutants []*mutant, text string, on func(*mutant) string) string {
	for _, m := range mutants {
		if m.Change == boundary { // the innermost, since it has the condition twice
			text = fmt.Sprintf("(%s && (%s) || !%[1]s && (%[3]s))", on(m), m.instead, text)
		}
	}
	for _, m := range mutants {
		switch m.Change {
		case always:
			text = fmt.Sprintf("((%s) || %s)", text, on(m))
		case never:
			text = fmt.Sprintf("((%s) && !%s)", text, on(m))
		case inverted:
			text = fmt.Sprintf("(%s != !!(%s))", on(m), text)
		case removed:
			text = fmt.Sprintf("{ if (!%s) { %s } }", on(m), text) // in C an else can follow
		case oneMore:
			one := on(m)
			if isGo(s.path) {
				one = "1"
			}
			text = fmt.Sprintf("(%s + %s)", text, one)
		}
	}
	return text
}

// diff shows the mutant as a change of its line.
func (m *mutant) diff(s *source) string {
	begin := strings.LastIndexByte(s.text[:m.start], '\n') + 1
	end := m.end + strings.IndexByte(s.text[m.end:]+"\n", '\n')
	instead := map[change]string{
		always: "true", never: "false", inverted: "!(" + s.text[m.start:m.end] + ")",
		boundary: m.instead, dropped: m.instead, cleared: m.instead, another: m.instead, removed: "",
		oneMore: "(" + s.text[m.start:m.end] + " + 1)",
	}[m.Change]
	lines := func(sign, text string) string {
		return sign + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+sign) + "\n"
	}
	return lines("-", s.text[begin:end]) + lines("+", s.text[begin:m.start]+instead+s.text[m.end:end])
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// only is for render: one mutant, which does not ask.
func only(which *mutant, on string) func(*mutant) string {
	return func(m *mutant) string {
		if m == which {
			return on
		}
		return ""
	}
}
