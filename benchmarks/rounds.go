//go:build linux

package main

import (
	"fmt"
	"slices"

	"example.com/peercred/benchmarks/internal/order"
)

// plan is how a group is measured, and what to say of it.
type plan struct {
	group        string
	sweeps       int // in a round, over all its subjects
	title, about string
}

var plans = []plan{
	{order.Questions, 100, "One connection that stays open",
		"The peer is another process. The C loop crosses into C once for all, the bare cgo call for\nevery question; Control is what package net asks for a descriptor that cannot be closed\nmeanwhile. grpc's credentials/local asks nobody.\n"},
	{order.Accepts, 100, "Accepting",
		"The time is that of Accept alone: whoever connects waits already. Allocations are those of\nboth ends.\n"},
	{order.Requests, 120, "HTTP requests, kept alive",
		"net/http serves a client that costs as little as can be, over a Unix socket in the same\nprocess and thread. Allocations are those of a request.\n"},
	{order.Calls, 60, "gRPC calls",
		"Unary calls of gRPC's health service, client and server in the same process and thread.\n"},
	{order.Scaling, 3, "More goroutines, more connections",
		"Time on the wall for one question, whoever asks it, over the bare call in one goroutine. A\nconnection is each goroutine's own, or shared by all.\n"},
}

// run is what was measured of one group in one setting.
type run struct {
	group    string
	setting  setting
	subjects []order.Subject
	rounds   []map[string]float64 // nanoseconds, by subject
}

// measureGroup measures a group in all settings. Their workers take turns, and begin
// in turn: so what the machine does besides hurts all alike.
func measureGroup(programs map[setting]string, p plan, rounds int, c *connection, progress func()) (runs []*run, err error) {
	var workers []*worker
	defer func() {
		for _, w := range workers {
			if stopErr := w.stop(); err == nil {
				err = stopErr
			}
		}
	}()
	for _, s := range settings {
		w, err := startWorker(programs[s], s, p.group, c)
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
		runs = append(runs, &run{group: p.group, setting: s, subjects: w.subjects})
	}
	for number := range rounds {
		for k := range workers {
			i := (number + k) % len(workers)
			nanoseconds, err := workers[i].round(order.Round{Sweeps: p.sweeps, Number: number})
			if err != nil {
				return nil, err
			}
			runs[i].rounds = append(runs[i].rounds, nanoseconds)
		}
		progress()
	}
	return runs, nil
}

// subject returns the subject of that name.
func (r *run) subject(name string) (order.Subject, bool) {
	i := slices.IndexFunc(r.subjects, func(s order.Subject) bool { return s.Name == name })
	if i < 0 {
		return order.Subject{}, false
	}
	return r.subjects[i], true
}

// nanoseconds returns those of a subject in every round.
func (r *run) nanoseconds(name string) []float64 {
	return r.each(func(ns func(string) float64) float64 { return ns(name) })
}

// ratios returns a subject's to what it is held against, each of one round.
func (r *run) ratios(name string) []float64 {
	s, known := r.subject(name)
	if !known {
		return nil
	}
	return r.each(func(ns func(string) float64) float64 { return ns(name) / ns(s.Against) })
}

// each makes one number of every round's nanoseconds. There are none if a subject was
// not measured that goes into it.
func (r *run) each(number func(ns func(subject string) float64) float64) (numbers []float64) {
	for _, round := range r.rounds {
		complete := true
		n := number(func(subject string) float64 {
			ns, measured := round[subject]
			complete = complete && measured
			return ns
		})
		if complete {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// extraAllocations returns those of a subject beyond those of what it is held against.
func (r *run) extraAllocations(name string) (int64, error) {
	s, known := r.subject(name)
	against, alsoKnown := r.subject(s.Against)
	if !known || !alsoKnown {
		return 0, fmt.Errorf("%s, %s: no subject %q", r.group, r.setting.name, name)
	}
	return s.Allocations - against.Allocations, nil
}
