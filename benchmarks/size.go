//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

// size is what asking adds to the smallest server, in one setting.
type size struct {
	bytes, stripped int64  // that asking adds to the executable
	alone, asking   spread // milliseconds from its start to its end
	threads         int    // of 1,000 goroutines that ask all the time
	added           spread // milliseconds that asking adds to start and end
}

// measureSizes builds both servers in both settings, and starts them in turn.
func measureSizes(dir string, workers map[setting]string, starts int) (map[setting]size, error) {
	alone, err := buildAll(dir, aloneProgram)
	if err != nil {
		return nil, err
	}
	asking, err := buildAll(dir, askingProgram)
	if err != nil {
		return nil, err
	}
	sizes := map[setting]size{}
	for _, s := range settings {
		var z size
		if z.bytes, err = growth(alone[s], asking[s]); err != nil {
			return nil, err
		}
		if z.stripped, err = strippedGrowth(dir, s); err != nil {
			return nil, err
		}
		if z.threads, err = threadsOfAskers(workers[s]); err != nil {
			return nil, err
		}
		sizes[s] = z
	}
	return sizes, timeStarts(sizes, alone, asking, starts)
}

func growth(from, to string) (int64, error) {
	before, err := os.Stat(from)
	if err != nil {
		return 0, err
	}
	after, err := os.Stat(to)
	if err != nil {
		return 0, err
	}
	return after.Size() - before.Size(), nil
}

// strippedGrowth is growth without symbols and DWARF.
func strippedGrowth(dir string, s setting) (int64, error) {
	dir = filepath.Join(dir, "stripped")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	alone, err := build(dir, aloneProgram, s, "-ldflags=-s -w")
	if err != nil {
		return 0, err
	}
	asking, err := build(dir, askingProgram, s, "-ldflags=-s -w")
	if err != nil {
		return 0, err
	}
	return growth(alone, asking)
}

// threadsOfAskers asks a worker of its own, since a process keeps its threads.
func threadsOfAskers(program string) (int, error) {
	cmd := exec.Command(program, order.Threads)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%v: %w", cmd, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// timeStarts starts the two in turn, the one first and then the other.
func timeStarts(sizes map[setting]size, alone, asking map[setting]string, starts int) error {
	for _, s := range settings {
		programs := [2]string{alone[s], asking[s]}
		var took [2][]float64
		for start := range starts {
			for k := range programs {
				i := (start + k) % len(programs)
				milliseconds, err := timeStart(programs[i])
				if err != nil {
					return err
				}
				took[i] = append(took[i], milliseconds)
			}
		}
		var added []float64
		for start := range starts {
			added = append(added, took[1][start]-took[0][start])
		}
		z := sizes[s]
		z.added, _ = spreadOf(added)
		z.alone, _ = spreadOf(took[0])
		z.asking, _ = spreadOf(took[1])
		sizes[s] = z
	}
	return nil
}

// timeStart returns the milliseconds from a program's start to its end.
func timeStart(program string) (float64, error) {
	began := time.Now()
	err := exec.Command(program).Run()
	return float64(time.Since(began).Microseconds()) / 1000, err
}
