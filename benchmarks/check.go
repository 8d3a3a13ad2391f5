//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/google/go-cmp/cmp"
)

const baselineFile = "baseline.json"

// baseline has the accepted costs of our subjects.
type baseline struct {
	Go, Arch string
	Costs    map[string]map[string]cost // by setting and subject
}

// cost has the counts of one execution. Unlike its time they do not vary.
type cost struct {
	Allocations  int
	Calls        map[string]int // system calls by name
	Instructions instructions   `json:",omitzero"`
}

// instructions depend on the compiler and the architecture.
type instructions int

// The number of instructions may differ from the baseline by these shares.
const (
	roomSameGo    = 0.01
	roomOtherGo   = 0.25
	roomOtherArch = 1e9
)

// check fails if a subject does not cost what the baseline says.
func check() error {
	old, err := readBaseline()
	if err != nil {
		return err
	}
	now, err := measureCosts()
	if err != nil {
		return err
	}
	if diff := old.diff(now); diff != "" {
		return fmt.Errorf("the costs are not those of %s (-then +now):\n%sif this is meant, run make bench-check BASELINE=update", baselineFile, diff)
	}
	fmt.Println("the costs are those of", baselineFile)
	return nil
}

// update writes the baseline.
func update() error {
	now, err := measureCosts()
	if err != nil {
		return err
	}
	return now.write()
}

// measureCosts builds and runs this program in both settings.
func measureCosts() (baseline, error) {
	b := baseline{runtime.Version(), runtime.GOARCH, map[string]map[string]cost{}}
	for setting, enabled := range map[string]string{"native": "0", "cgo": "1"} {
		cmd := exec.Command("go", "run", "-ldflags=-s=false", ".", "costs") // valgrind needs symbols
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+enabled)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return b, fmt.Errorf("%v: %w", cmd, err)
		}
		var costs map[string]cost
		if err := json.Unmarshal(out, &costs); err != nil {
			return b, err
		}
		b.Costs[setting] = costs
	}
	return b, nil
}

// printCosts prints the costs in this setting.
func printCosts() error {
	all, err := subjects()
	if err != nil {
		return err
	}
	costs := map[string]cost{}
	for _, s := range all {
		if s.kind != ours {
			continue
		}
		c := cost{Allocations: s.allocations()}
		if c.Calls, err = systemCalls(s.name); err != nil {
			return err
		}
		if s.ask != nil && c.onlyAsks() {
			if c.Instructions, err = countInstructions(s.name); err != nil {
				return err
			}
		}
		costs[s.name] = c
	}
	return json.NewEncoder(os.Stdout).Encode(costs)
}

// onlyAsks reports whether the question makes no system call except getsockopt. Descriptors that
// are opened and closed involve the runtime's poller, whose instructions vary.
func (c cost) onlyAsks() bool { return len(c.Calls) == 1 && c.Calls["getsockopt"] > 0 }

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

// diff describes how the costs differ. A lower cost is a difference too, because the
// baseline would allow it to grow again.
func (b baseline) diff(now baseline) string {
	return cmp.Diff(b.Costs, now.Costs, cmp.Comparer(func(x, y instructions) bool {
		return float64(max(x, y)) <= float64(min(x, y))*(1+b.room(now))
	}))
}

func (b baseline) room(now baseline) float64 {
	switch {
	case b.Arch != now.Arch:
		return roomOtherArch
	case b.Go != now.Go:
		return roomOtherGo
	}
	return roomSameGo
}
