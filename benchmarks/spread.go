//go:build linux

package main

import (
	"fmt"
	"math"

	"golang.org/x/perf/benchmath"
)

// spread is the median of some rounds, with the interval that benchstat would give.
type spread struct{ median, low, high float64 }

func spreadOf(rounds []float64) (s spread, ok bool) {
	if len(rounds) == 0 {
		return s, false
	}
	sample := benchmath.NewSample(rounds, &benchmath.DefaultThresholds)
	summary := benchmath.AssumeNothing.Summary(sample, 0.95)
	return spread{summary.Center, summary.Lo, summary.Hi}, true
}

// String returns the median and, in brackets, the interval, if there were rounds
// enough for one.
func (s spread) String() string {
	if math.IsInf(s.low, 0) || math.IsInf(s.high, 0) {
		return number(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median), number(s.low), number(s.high))
}

// number has as many digits as are worth reading.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 1.5:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}
