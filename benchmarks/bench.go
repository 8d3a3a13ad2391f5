//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

// bench measures everything, and shows and writes it.
func bench(rounds int, writing bool) error {
	steps := progress{began: time.Now()}
	r, err := measureAll(rounds, &steps)
	if err != nil {
		return err
	}
	for _, p := range plans {
		fmt.Printf("\n%s\n\n%s", p.title, r.groupTable(p.group))
	}
	fmt.Printf("\nsize\n\n%s\ntargets\n\n%s\n%s\n", r.sizeTable(), targetTable(targets(r)), r.machine)
	if !writing {
		return nil
	}
	steps.step("write " + readmeFile + ", " + pageFile + ", " + chartFile + ", " + resultsFile)
	if err := r.write(); err != nil {
		return err
	}
	steps.end()
	return nil
}

func measureAll(rounds int, steps *progress) (*report, error) {
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := connect()
	if err != nil {
		return nil, err
	}
	defer c.close()
	r := &report{machine: thisMachine(), rounds: rounds}

	steps.step("build, with cgo and without")
	workers, err := buildAll(dir, workerProgram)
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		steps.step(fmt.Sprintf("%s, %d rounds ", p.title, rounds))
		runs, err := measureGroup(workers, p, rounds, c, steps.dot)
		if err != nil {
			return nil, err
		}
		r.runs = append(r.runs, runs...)
	}
	steps.step("count system calls")
	if r.calls, err = countCalls(workers, r, c); err != nil {
		return nil, err
	}
	steps.step("sizes, starts, threads")
	if r.sizes, err = measureSizes(dir, workers, 5*rounds); err != nil {
		return nil, err
	}
	steps.end()
	return r, nil
}

// countCalls counts the system calls of every question.
func countCalls(workers map[setting]string, r *report, c *connection) (map[setting]map[string]map[string]int, error) {
	counts := map[setting]map[string]map[string]int{}
	for _, s := range settings {
		counts[s] = map[string]map[string]int{}
		for _, subject := range r.of(order.Questions, s).subjects {
			if subject.Name == order.CLoop { // which is Bare, many at a time
				continue
			}
			calls, err := systemCalls(workers[s], subject.Name, c)
			if err != nil {
				return nil, err
			}
			counts[s][subject.Name] = calls
		}
	}
	return counts, nil
}

// progress tells what is going on, and since when.
type progress struct {
	began time.Time
	open  bool
}

func (p *progress) step(what string) {
	p.end()
	fmt.Fprintf(os.Stderr, "%4.0fs  %s", time.Since(p.began).Seconds(), what)
	p.open = true
}

func (p *progress) dot() { fmt.Fprint(os.Stderr, ".") }

// end ends the line of a step.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(os.Stderr)
	}
	p.open = false
}
