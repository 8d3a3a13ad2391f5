//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

var errWorse = fmt.Errorf("it costs more than %s says; if that is meant, write it anew with -update", baselineFile)

// check compares what can be counted with the baseline. Times do not fail it where
// instructions can be counted.
func check() error {
	old, err := readBaseline()
	if err != nil {
		return err
	}
	now, err := measureCosts()
	if err != nil {
		return err
	}
	if now.Go != old.Go || now.Arch != old.Arch {
		fmt.Printf("the baseline is of %s/%s, this is %s/%s\n", old.Go, old.Arch, now.Go, now.Arch)
	}
	worse := false
	for _, c := range old.compare(now) {
		verdict := "moved"
		if c.worse {
			verdict, worse = "WORSE", true
		}
		fmt.Printf("%s  %s\n", verdict, c.what)
	}
	if worse {
		return errWorse
	}
	fmt.Printf("%d subjects cost what %s says, or less\n", len(now.Costs), baselineFile)
	return nil
}

func update() error {
	now, err := measureCosts()
	if err != nil {
		return err
	}
	return now.write()
}

// checked are the groups of which allocations are held, beyond those of what a
// subject is held against. Those of a gRPC call are not the same every time.
var checked = []plan{
	{group: order.Questions, sweeps: 60},
	{group: order.Accepts, sweeps: 1},
	{group: order.Requests, sweeps: 1},
}

func measureCosts() (b baseline, err error) {
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(dir)
	c, err := connect()
	if err != nil {
		return b, err
	}
	defer c.close()
	b = thisGo()
	steps := progress{began: time.Now()}
	defer steps.end()
	steps.step("build, with cgo and without")
	workers, err := buildAll(dir, workerProgram)
	if err != nil {
		return b, err
	}
	for _, p := range checked {
		steps.step(p.group + " ")
		const rounds = 3
		runs, err := measureGroup(workers, p, rounds, c, steps.dot)
		if err != nil {
			return b, err
		}
		for _, r := range runs {
			if err := b.addCosts(r, workers[r.setting], c, steps.dot); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// addCosts adds those of our subjects.
func (b baseline) addCosts(r *run, worker string, c *connection, progress func()) error {
	for _, s := range r.subjects {
		if s.Kind != order.Ours {
			continue
		}
		var k cost
		var err error
		if k.Allocations, err = r.extraAllocations(s.Name); err != nil {
			return err
		}
		if r.group == order.Questions {
			if err := k.count(r, s, worker, c); err != nil {
				return err
			}
		}
		b.Costs[r.setting.name+", "+s.Name] = k
		progress()
	}
	return nil
}

// count is for the questions, which are always the same in one thread.
func (k *cost) count(r *run, s order.Subject, worker string, c *connection) (err error) {
	if k.Calls, err = systemCalls(worker, s.Name, c); err != nil {
		return err
	}
	if ratio, ok := spreadOf(r.ratios(s.Name)); ok {
		k.Ratio = math.Round(100*ratio.median) / 100
	}
	if s.Name == order.Process { // of which valgrind does not know the system calls
		return nil
	}
	k.Instructions, err = instructions(worker, s.Name, c)
	if errors.Is(err, errNoValgrind) {
		return nil
	}
	return err
}
