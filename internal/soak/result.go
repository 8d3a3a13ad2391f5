//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"strings"
	"time"

	"example.com/peercred"
	"example.com/peercred/internal/remains"
)

// Memory and threads are flat if under load, from the fifth of the time that they
// take to settle to its end, they grow by no more than this. What was forgotten of a
// million connections would be hundreds of mebibytes.
const (
	heapTolerance   = 4 << 20
	rssTolerance    = 16 << 20
	threadTolerance = 8
)

// result is what came of a run.
type result struct {
	asked       int64 // connections, at least
	connections int64
	elapsed     time.Duration
	counts      counts
	support     peercred.Info

	started, separate, killed int64

	before, after remains.Remains // at rest
	early, late   usage           // under load, without garbage: after a fifth, and in the end
	threads       [2]int          // at most, after a fifth: until the middle, and from it
}

func (r result) rate() float64 { return float64(r.connections) / r.elapsed.Seconds() }

func (r result) String() string {
	var b strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&b, "  "+format+"\n", values...) }
	line("%d connections in %v, %.0f per second", r.connections, r.elapsed.Round(time.Second), r.rate())
	line("%d client processes, %d of them in new namespaces, %d killed", r.started, r.separate, r.killed)
	line("answers: %s", listed(r.counts.Answers))
	line("errors, as they may be: %s", listed(r.counts.Errors))
	line("wrong answers: %d", r.counts.Wrong)
	for _, example := range r.counts.Examples {
		line("  %s", example)
	}
	line("left over: %d descriptors, %d goroutines", r.after.Descriptors-r.before.Descriptors, r.after.Goroutines-r.before.Goroutines)
	if r.late == (usage{}) {
		return b.String() // interrupted before
	}
	line("after a fifth: %v", r.early)
	line("in the end:    %v", r.late)
	line("threads: at most %d in the first half, %d in the second", r.threads[0], r.threads[1])
	return b.String()
}

// questions are those that must have been answered.
func (r result) questions() []string {
	list := []string{
		"credentials", "handed over", "who serves", "oneself",
		"a guard's credentials", "admissions", "refusals", "doors",
	}
	for question, fact := range map[string]peercred.Fact{
		"groups": r.support.Groups, "label": r.support.SecurityLabel, "process": r.support.Process, "ends": r.support.Process,
	} {
		if fact.Available {
			list = append(list, question)
		}
	}
	return list
}

// complaints are what is not as it must be.
func (r result) complaints() (list []string) {
	complain := func(format string, values ...any) { list = append(list, fmt.Sprintf(format, values...)) }
	if r.connections < r.asked {
		complain("%d connections (%.0f per second), fewer than %d: give it more time, or a less busy machine", r.connections, r.rate(), r.asked)
	}
	if r.counts.Wrong > 0 {
		complain("%d wrong answers", r.counts.Wrong)
	}
	for _, question := range r.questions() {
		if r.counts.Answers[question] == 0 {
			complain("no answers: %s", question)
		}
	}
	if r.after != r.before {
		complain("left over: %+v, before: %+v", r.after, r.before)
	}
	if r.early == (usage{}) || r.late == (usage{}) {
		complain("memory and threads were not measured in time")
		return list
	}
	if grown := r.late.heap - r.early.heap; grown > heapTolerance {
		complain("the heap has grown by %s", mebibytes(grown))
	}
	if grown := r.late.rss - r.early.rss; grown > rssTolerance {
		complain("the memory has grown by %s", mebibytes(grown))
	}
	if r.threads[1] > r.threads[0]+threadTolerance {
		complain("the threads have grown from %d to %d", r.threads[0], r.threads[1])
	}
	return list
}
