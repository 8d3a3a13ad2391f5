//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"example.com/peercred/benchmarks/internal/order"
)

// The files that the bench writes.
const (
	readmeFile  = "../README.md"
	resultsFile = "results.txt"
	pageFile    = "RESULTS.md"
	chartFile   = "chart.svg"
)

// write writes all files. The README is last, since it points to the others.
func (r *report) write() error {
	var results bytes.Buffer
	if err := writeResults(&results, r.machine, r.runs); err != nil {
		return err
	}
	chart, err := r.chart()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(resultsFile, results.Bytes(), 0o644),
		os.WriteFile(chartFile, chart, 0o644),
		os.WriteFile(pageFile, r.page(), 0o644),
		r.writeReadme())
}

func (r *report) writeReadme() error {
	old, err := os.ReadFile(readmeFile)
	if err != nil {
		return err
	}
	text, err := replaceMarked(old, r.readmePart())
	if err != nil {
		return fmt.Errorf("%s: %w", readmeFile, err)
	}
	return os.WriteFile(readmeFile, text, 0o644)
}

// readmePart is for those who want to know at a glance.
func (r *report) readmePart() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "![What one question costs, in bare getsockopt calls: %s natively and with cgo, and everybody else](benchmarks/%s)\n\n", order.Get, chartFile)
	fmt.Fprintf(&b, "What one question costs, in bare getsockopt calls of the same build and round: the median of\n%d rounds, and its 95%% confidence interval.\n\n%s\n", r.rounds, r.shortTable())
	fmt.Fprintf(&b, "grpc's credentials/local makes no system call because it asks nobody. Measured on %s.\n[All figures](benchmarks/%s), and which targets they meet.\n", r.machine, pageFile)
	return b.Bytes()
}

// page has everything.
func (r *report) page() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<!-- Written by \"make bench\". -->\n\n# What asking costs\n\n")
	fmt.Fprintf(&b, "%s.\n\nEvery figure is the median of %d rounds with its 95%% confidence interval, as benchstat has\nthem. Ratios are to another subject of the same build in the same round. ns are those of one\nexecution. `benchstat -filter .unit:ratio -col /setting %s` has the rest.\n\n", r.machine, r.rounds, resultsFile)
	fmt.Fprintf(&b, "![](%s)\n\n## Targets\n\n%s", chartFile, targetTable(targets(r)))
	for _, p := range plans {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n%s", p.title, p.about, r.groupTable(p.group))
	}
	fmt.Fprintf(&b, "\n## Size\n\n%s", r.sizeTable())
	return b.Bytes()
}
