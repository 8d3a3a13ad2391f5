//go:build linux

package main

import (
	"fmt"
	"strings"

	"example.com/peercred/benchmarks/internal/order"
)

// table is one of Markdown.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	line(strings.Split(strings.Repeat("---,", len(t.head)-1)+"---", ","))
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// notMeasured is the cell of what a setting does not have.
const notMeasured = "–"

// mark says what a subject is, in tables.
func mark(s order.Subject) string {
	name := strings.ReplaceAll(s.Name, "*", `\*`)
	if s.Kind == order.Ours {
		return "**" + name + "**"
	}
	return name
}

// groupTable has the ratios of a group in both settings.
func (r *report) groupTable(group string) *table {
	t := &table{head: []string{"", "over", "native", "ns", "cgo", "ns", "allocations"}}
	for _, s := range r.subjects(group) {
		row := []string{mark(s), s.Against}
		for _, setting := range settings {
			ratio, ns := r.cells(group, setting, s.Name)
			row = append(row, ratio, ns)
		}
		t.add(append(row, fmt.Sprint(s.Allocations))...)
	}
	return t
}

// cells are the ratio of a subject, with its spread, and its nanoseconds.
func (r *report) cells(group string, s setting, subject string) (ratio, nanoseconds string) {
	run := r.of(group, s)
	ns, measured := spreadOf(run.nanoseconds(subject))
	if !measured {
		return notMeasured, notMeasured
	}
	if s, _ := run.subject(subject); s.Against == subject {
		return "1", number(ns.median)
	}
	ratios, _ := spreadOf(run.ratios(subject))
	return ratios.String(), number(ns.median)
}

// shortTable is for the README: one question, and whoever asks it.
func (r *report) shortTable() *table {
	t := &table{head: []string{"", "native", "cgo", "allocations", "system calls"}}
	for _, s := range r.oneQuestion() {
		row := []string{mark(s)}
		for _, setting := range settings {
			ratio, _ := r.cells(order.Questions, setting, s.Name)
			row = append(row, ratio)
		}
		t.add(append(row, fmt.Sprint(s.Allocations), r.callCell(s.Name))...)
	}
	return t
}

// oneQuestion are the subjects that are held against the bare call.
func (r *report) oneQuestion() (subjects []order.Subject) {
	for _, s := range r.subjects(order.Questions) {
		if s.Against == order.Bare {
			subjects = append(subjects, s)
		}
	}
	return subjects
}

// callCell is the same in both settings, but for what one does not have.
func (r *report) callCell(subject string) string {
	var cells []string
	for _, s := range settings {
		if calls, counted := r.calls[s][subject]; counted {
			cells = append(cells, fmt.Sprint(total(calls)))
		}
	}
	if len(cells) == 0 {
		return notMeasured
	}
	if len(cells) == 2 && cells[0] == cells[1] {
		cells = cells[:1]
	}
	return strings.Join(cells, ", ")
}

func (r *report) sizeTable() *table {
	t := &table{head: []string{"a server that asks, over one that does not", "native", "cgo"}}
	row := func(name string, cell func(size) string) {
		t.add(name, cell(r.sizes[native]), cell(r.sizes[cgo]))
	}
	row("bytes added", func(z size) string { return kib(z.bytes) })
	row("bytes added, stripped", func(z size) string { return kib(z.stripped) })
	row("start to end without asking, ms", func(z size) string { return z.alone.String() })
	row("start to end, ms", func(z size) string { return z.asking.String() })
	row("of that added, ms", func(z size) string { return z.added.String() })
	row("OS threads of 1,000 concurrent askers", func(z size) string { return fmt.Sprint(z.threads) })
	return t
}

func targetTable(all []target) *table {
	t := &table{head: []string{"figure", "target", "measured", ""}}
	for _, target := range all {
		t.add(target.figure, target.want, target.measured, target.verdict())
	}
	return t
}
