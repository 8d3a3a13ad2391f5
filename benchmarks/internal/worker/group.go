//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

// subject is something whose time is measured in bursts: executed n times, and the
// time that this took returned. A subject that needs preparation does it outside of
// that time.
type subject struct {
	order.Subject
	burst func(n int) time.Duration
	n     int // that makes a burst long enough for the clock and short for the scheduler
}

// timed is the burst of what needs no preparation.
func timed(do func(n int)) func(n int) time.Duration {
	return func(n int) time.Duration {
		began := time.Now()
		do(n)
		return time.Since(began)
	}
}

// group is a number of subjects that are measured in turn.
type group struct {
	subjects  []*subject
	length    time.Duration // of a burst
	most      int           // executions in a burst, if it is not 0
	uncounted bool          // are allocations
	close     func()
}

func (g *group) add(kind order.Kind, name, against string, burst func(n int) time.Duration) {
	g.subjects = append(g.subjects, &subject{
		Subject: order.Subject{Name: name, Kind: kind, Against: against}, burst: burst})
}

func newGroup(name string) (*group, error) {
	prepare, known := map[string]func() (*group, error){
		order.Questions: questions,
		order.Accepts:   accepts,
		order.Requests:  requests,
		order.Calls:     calls,
		order.Scaling:   scaling,
	}[name]
	if !known {
		return nil, fmt.Errorf("there is no group %q", name)
	}
	return prepare()
}

// prepare finds out how long the subjects take, and what they allocate.
func (g *group) prepare() []order.Subject {
	var subjects []order.Subject
	for _, s := range g.subjects {
		s.n = g.calibrate(s)
		if !g.uncounted {
			s.Allocations = g.allocations(s)
		}
		subjects = append(subjects, s.Subject)
	}
	return subjects
}

// calibrate doubles n until a burst is as long as it is to be.
func (g *group) calibrate(s *subject) int {
	for n := 1; ; n *= 2 {
		if g.most > 0 && n >= g.most {
			return g.most
		}
		if took := s.burst(n); took > g.length/4 {
			return max(1, int(float64(n)*float64(g.length)/float64(took)))
		}
	}
}

// allocations returns how many one execution makes. What the runtime allocates now and
// then is rounded away.
func (g *group) allocations(s *subject) int64 {
	few := int64(1000)
	if g.most > 0 {
		few = int64(g.most)
	}
	fewest := int64(-1)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.burst(int(few))
		runtime.ReadMemStats(&after)
		if n := (int64(after.Mallocs-before.Mallocs) + few/2) / few; fewest < 0 || n < fewest {
			fewest = n
		}
	}
	return fewest
}

// round measures every subject once in each sweep, in another order each time, so
// that none always comes after the same neighbour, and returns the medians: a burst
// that was interrupted is not among them.
func (g *group) round(o order.Round) map[string]float64 {
	shuffle := rand.New(rand.NewPCG(uint64(o.Number), uint64(o.Sweeps)))
	samples := make([][]float64, len(g.subjects))
	for range o.Sweeps {
		for _, i := range shuffle.Perm(len(g.subjects)) {
			s := g.subjects[i]
			samples[i] = append(samples[i], float64(s.burst(s.n).Nanoseconds())/float64(s.n))
		}
	}
	medians := map[string]float64{}
	for i, s := range g.subjects {
		medians[s.Name] = median(samples[i])
	}
	return medians
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
