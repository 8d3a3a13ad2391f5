//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
)

const baselineFile = "baseline.json"

// baseline is what the subjects cost when somebody last looked and found it good.
type baseline struct {
	Go, Arch string
	Costs    map[string]cost // by setting and subject
}

// cost is what can be counted of one execution.
type cost struct {
	Allocations int64
	Calls       map[string]int `json:",omitempty"` // system calls by name
	// Instructions are 0 where they were not counted.
	Instructions int `json:",omitempty"`
	// Ratio is to the bare call, for where there is no valgrind.
	Ratio float64 `json:",omitempty"`
}

// How much more is still the same. Instructions change with the compiler, and with
// nothing else: another Go than the baseline's gets more room. Times change with the
// weather.
const (
	instructionRoom        = 1.03
	instructionRoomOtherGo = 1.25
	ratioRoom              = 1.6
)

func thisGo() baseline {
	return baseline{Go: runtime.Version(), Arch: runtime.GOARCH, Costs: map[string]cost{}}
}

func readBaseline() (b baseline, err error) {
	text, err := os.ReadFile(baselineFile)
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(text, &b)
}

func (b baseline) write() error {
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(baselineFile, append(text, '\n'), 0o644)
}

// change is a figure that is not that of the baseline.
type change struct {
	what  string
	worse bool // beyond the bound
}

// compare tells what moved, in a fixed order.
func (b baseline) compare(now baseline) (changes []change) {
	for _, name := range slices.Sorted(maps.Keys(b.Costs)) {
		cost, measured := now.Costs[name]
		if !measured {
			changes = append(changes, change{name + " is not measured any more", true})
			continue
		}
		for _, c := range b.Costs[name].compare(cost, b.room(now)) {
			changes = append(changes, change{name + ": " + c.what, c.worse})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Costs)) {
		if _, known := b.Costs[name]; !known {
			changes = append(changes, change{name + " is new: write the baseline with -update", true})
		}
	}
	return changes
}

// room is by how much instructions may grow, 0 where they cannot be compared.
func (b baseline) room(now baseline) float64 {
	switch {
	case b.Arch != now.Arch:
		return 0
	case b.Go != now.Go:
		return instructionRoomOtherGo
	}
	return instructionRoom
}

// compare holds a cost against what it was. Allocations and system calls are exact.
func (k cost) compare(now cost, room float64) (changes []change) {
	add := func(worse bool, format string, args ...any) {
		changes = append(changes, change{fmt.Sprintf(format, args...), worse})
	}
	if now.Allocations != k.Allocations {
		add(now.Allocations > k.Allocations, "%d allocations, were %d", now.Allocations, k.Allocations)
	}
	if !maps.Equal(now.Calls, k.Calls) {
		add(total(now.Calls) >= total(k.Calls), "system calls %s, were %s", listed(now.Calls), listed(k.Calls))
	}
	counted := room > 0 && k.Instructions > 0 && now.Instructions > 0
	switch {
	case counted && now.Instructions != k.Instructions:
		limit := float64(k.Instructions) * room
		add(float64(now.Instructions) > limit, "%d instructions, were %d (up to %.0f is borne)", now.Instructions, k.Instructions, limit)
	case !counted && k.Ratio > 0 && now.Ratio > k.Ratio*ratioRoom:
		add(true, "%.2f times the bare call, was %.2f (up to %.2f is borne)", now.Ratio, k.Ratio, k.Ratio*ratioRoom)
	}
	return changes
}

func listed(calls map[string]int) string {
	if len(calls) == 0 {
		return "none"
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		all = append(all, fmt.Sprintf("%d %s", calls[name], name))
	}
	return strings.Join(all, ", ")
}
