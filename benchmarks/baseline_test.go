//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	good := cost{Allocations: 1, Calls: map[string]int{"getsockopt": 1}, Instructions: 1000, Ratio: 1.2}
	with := func(change func(*cost)) cost {
		c := good
		change(&c)
		return c
	}
	for name, test := range map[string]struct {
		now   cost
		goNow string
		what  string // "" if nothing is to be said
		worse bool
	}{
		"the same":          {now: good},
		"less instructions": {now: with(func(c *cost) { c.Instructions = 900 }), what: "900 instructions, were 1000"},
		"a bit more":        {now: with(func(c *cost) { c.Instructions = 1030 }), what: "1030 instructions"},
		"more instructions": {now: with(func(c *cost) { c.Instructions = 1031 }), what: "1031 instructions", worse: true},
		"more with another Go": {
			now: with(func(c *cost) { c.Instructions = 1250 }), goNow: "go9", what: "1250 instructions"},
		"far more with another Go": {
			now: with(func(c *cost) { c.Instructions = 1251 }), goNow: "go9", what: "1251 instructions", worse: true},
		"an allocation":       {now: with(func(c *cost) { c.Allocations = 2 }), what: "2 allocations, were 1", worse: true},
		"no allocation":       {now: with(func(c *cost) { c.Allocations = 0 }), what: "0 allocations, were 1"},
		"another call":        {now: with(func(c *cost) { c.Calls = map[string]int{"dup": 1} }), what: "system calls 1 dup, were 1 getsockopt", worse: true},
		"no call":             {now: with(func(c *cost) { c.Calls = nil }), what: "system calls none, were 1 getsockopt"},
		"slower, but counted": {now: with(func(c *cost) { c.Ratio = 9 })},
		"not counted":         {now: with(func(c *cost) { c.Instructions = 0 })},
		"not counted, slower": {
			now: with(func(c *cost) { c.Instructions, c.Ratio = 0, 1.93 }), what: "1.93 times the bare call", worse: true},
	} {
		t.Run(name, func(t *testing.T) {
			old := baseline{Go: "go1", Arch: "amd64", Costs: map[string]cost{"it": good}}
			now := baseline{Go: "go1", Arch: "amd64", Costs: map[string]cost{"it": test.now}}
			if test.goNow != "" {
				now.Go = test.goNow
			}
			changes := old.compare(now)
			if test.what == "" {
				if len(changes) > 0 {
					t.Errorf("got %v, want nothing", changes)
				}
				return
			}
			if len(changes) != 1 || !strings.HasPrefix(changes[0].what, "it: "+test.what) || changes[0].worse != test.worse {
				t.Errorf("got %v, want %q, worse: %v", changes, test.what, test.worse)
			}
		})
	}
}

// What is not measured any more, and what nobody has looked at yet, fails the check:
// else a name that is changed would end it.
func TestCompareSubjects(t *testing.T) {
	old := baseline{Costs: map[string]cost{"old": {}}}
	now := baseline{Costs: map[string]cost{"new": {}}}
	changes := old.compare(now)
	if len(changes) != 2 || !changes[0].worse || !changes[1].worse {
		t.Errorf("got %v, want two that fail", changes)
	}
}

// Instructions of another processor's code say nothing: then the ratio decides.
func TestCompareOtherArchitecture(t *testing.T) {
	old := baseline{Arch: "amd64", Costs: map[string]cost{"it": {Instructions: 100, Ratio: 1}}}
	now := baseline{Arch: "arm64", Costs: map[string]cost{"it": {Instructions: 900, Ratio: 1.5}}}
	if changes := old.compare(now); len(changes) > 0 {
		t.Errorf("got %v, want nothing", changes)
	}
	now.Costs["it"] = cost{Instructions: 900, Ratio: 1.7}
	if changes := old.compare(now); len(changes) != 1 || !changes[0].worse {
		t.Errorf("got %v, want one that fails", changes)
	}
}
