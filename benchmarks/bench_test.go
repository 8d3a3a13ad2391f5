//go:build linux

package main

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if playRole() {
		return
	}
	os.Exit(m.Run())
}

// Every benchmark has subjects, and each can be executed.
func TestSubjects(t *testing.T) {
	all, err := subjects()
	if err != nil {
		t.Fatal(err)
	}
	count := map[kind]int{}
	for _, s := range all {
		if s.base(s.burst) <= 0 || s.run(s.burst) <= 0 {
			t.Errorf("%s took no time", s.name)
		}
		count[s.kind]++
	}
	for _, kind := range []kind{kernel, ours, others, scaling, serving} {
		if count[kind] == 0 {
			t.Errorf("Benchmark%s has no subject", kind)
		}
	}
}

func BenchmarkKernel(b *testing.B)  { measure(b, kernel) }
func BenchmarkOurs(b *testing.B)    { measure(b, ours) }
func BenchmarkOthers(b *testing.B)  { measure(b, others) }
func BenchmarkScaling(b *testing.B) { measure(b, scaling) }
func BenchmarkServing(b *testing.B) { measure(b, serving) }

// measure reports the time of each subject as a ratio to that of its base. The two take
// turns, so that other work of the machine slows both.
func measure(b *testing.B, kind kind) {
	all, err := subjects()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range all {
		if s.kind != kind {
			continue
		}
		b.Run(s.name+"/over="+s.over, func(b *testing.B) {
			each := func(do func(n int) time.Duration) float64 {
				return float64(do(s.burst).Nanoseconds()) / float64(s.burst)
			}
			var base, run []float64 // nanoseconds of one execution, in each burst
			for b.Loop() {
				base = append(base, each(s.base))
				run = append(run, each(s.run))
			}
			b.ReportMetric(median(run).Center/median(base).Center, "ratio")
			b.ReportMetric(median(run).Center, "ns/op")
			b.ReportMetric(float64(s.allocations()), "allocations")
		})
	}
}
