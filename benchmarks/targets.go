//go:build linux

package main

import (
	"fmt"
	"strings"

	"example.com/peercred/benchmarks/internal/order"
)

// target is a figure that we mean to reach.
type target struct {
	figure, want string
	measured     string
	met          bool
}

// The targets are those of the project, and are not softened to be met.
const (
	nativeRatio    = 1.12
	cgoRatio       = 1.22
	nativeOverhead = 1.0 / 3 // of tailscale/peercred's
	cgoOverhead    = 2.0 / 3
	acceptOverhead = 1.10 // bare getsockopt calls
	requestRatio   = 1.02
	twoCores       = 1.8
	addedBytes     = 40 << 10
)

func targets(r *report) (all []target) {
	all = append(all,
		r.ratioTarget(native, nativeRatio),
		r.ratioTarget(cgo, cgoRatio))
	for _, s := range settings {
		all = append(all, r.allocationTarget(s), r.callTarget(s))
	}
	for _, s := range settings {
		all = append(all, r.fasterTarget(s))
	}
	all = append(all,
		r.overheadTarget(native, nativeOverhead),
		r.overheadTarget(cgo, cgoOverhead))
	for _, s := range settings {
		all = append(all, r.acceptTarget(s))
	}
	for _, s := range settings {
		all = append(all, r.requestTarget(s), r.requestAllocationTarget(s))
	}
	for _, s := range settings {
		all = append(all, r.throughputTarget(s))
	}
	return append(all, r.sizeTarget())
}

// atMost is the target of a median that is to be no greater.
func atMost(figure string, limit float64, rounds []float64) target {
	t := target{figure: figure, want: "≤ " + number(limit), measured: "not measured"}
	if s, ok := spreadOf(rounds); ok {
		t.measured, t.met = s.String(), s.median <= limit
	}
	return t
}

func (r *report) ratioTarget(s setting, limit float64) target {
	return atMost(order.Get+" over getsockopt, "+s.name, limit, r.of(order.Questions, s).ratios(order.Get))
}

// connected are the questions about a connected socket as it comes from Accept, and
// inherited or handed over.
var connected = []string{order.Get, order.GetOf}

func (r *report) allocationTarget(s setting) target {
	t := target{figure: "allocations, " + s.name, want: "0", met: true}
	var found []string
	for _, name := range append(connected, order.GetOfFile) {
		subject, known := r.of(order.Questions, s).subject(name)
		found = append(found, fmt.Sprint(subject.Allocations))
		t.met = t.met && known && subject.Allocations == 0
	}
	t.measured = strings.Join(found, ", ")
	return t
}

func (r *report) callTarget(s setting) target {
	t := target{figure: "system calls a question, " + s.name, want: "1", met: true}
	var found []string
	for _, name := range connected {
		n := total(r.calls[s][name])
		found = append(found, fmt.Sprint(n))
		t.met = t.met && n == 1
	}
	t.measured = strings.Join(found, ", ")
	return t
}

// asking are the peers that ask the kernel who is there. credentials/local does not:
// it looks at the name of the network, and knows nobody.
var asking = []string{order.RecipeControl, order.RecipeFile, order.Tailscale, order.TTRPC}

// fasterTarget goes by the intervals, which are not to touch.
func (r *report) fasterTarget(s setting) target {
	t := target{figure: "faster than every peer that asks the kernel, " + s.name, want: "all", met: true}
	questions := r.of(order.Questions, s)
	ours, ok := spreadOf(questions.ratios(order.Get))
	t.met = ok
	var slower []string
	for _, name := range asking {
		peer, ok := spreadOf(questions.ratios(name))
		if !ok || ours.high >= peer.low {
			slower = append(slower, name)
		}
	}
	t.measured = "all"
	if len(slower) > 0 {
		t.measured, t.met = "not "+strings.Join(slower, ", "), false
	}
	return t
}

func (r *report) overheadTarget(s setting, limit float64) target {
	questions := r.of(order.Questions, s)
	rounds := questions.each(func(ns func(string) float64) float64 {
		return (ns(order.Get) - ns(order.Bare)) / (ns(order.Tailscale) - ns(order.Bare))
	})
	return atMost("overhead in those of "+order.Tailscale+", "+s.name, limit, rounds)
}

func (r *report) acceptTarget(s setting) target {
	rounds := r.of(order.Accepts, s).each(func(ns func(string) float64) float64 {
		return (ns(order.AcceptGuard) - ns(order.Accept)) / ns(order.Bare)
	})
	return atMost("guard's Accept over Accept, in getsockopts, "+s.name, acceptOverhead, rounds)
}

func (r *report) requestTarget(s setting) target {
	return atMost("HTTP request with guard.Require over one without, "+s.name, requestRatio,
		r.of(order.Requests, s).ratios(order.RequestRequired))
}

func (r *report) requestAllocationTarget(s setting) target {
	t := target{figure: "allocations it adds, " + s.name, want: "0"}
	n, err := r.of(order.Requests, s).extraAllocations(order.RequestRequired)
	t.measured, t.met = fmt.Sprint(n), err == nil && n == 0
	return t
}

// throughputTarget shows what the bare call reaches beside it: where that falls short
// too, it is the machine.
func (r *report) throughputTarget(s setting) target {
	t := target{figure: "throughput, 2 cores over 1, " + s.name, want: "≥ " + number(twoCores), measured: "not measured"}
	gain := func(what string) (spread, bool) {
		return spreadOf(r.of(order.Scaling, s).each(func(ns func(string) float64) float64 {
			return ns(order.Scaled(what, false, 2, 1)) / ns(order.Scaled(what, false, 2, 2))
		}))
	}
	ours, ok := gain(order.Get)
	limit, alsoOK := gain(order.Bare)
	if ok && alsoOK {
		t.measured, t.met = fmt.Sprintf("%v; getsockopt alone %v", ours, limit), ours.median >= twoCores
	}
	return t
}

func (r *report) sizeTarget() target {
	t := target{figure: "bytes added to a server, native", want: "≤ " + kib(addedBytes), measured: "not measured"}
	if z, measured := r.sizes[native]; measured {
		t.measured, t.met = kib(z.bytes), z.bytes <= addedBytes
	}
	return t
}

func kib(bytes int64) string { return fmt.Sprintf("%.0f KiB", float64(bytes)/1024) }

// verdict is the word for a target.
func (t target) verdict() string {
	if t.met {
		return "met"
	}
	return "not met"
}
