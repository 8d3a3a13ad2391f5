//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"example.com/peercred/internal/remains"
)

// usage is what the server takes.
type usage struct {
	remains.Remains
	threads   int
	heap, rss int64 // bytes
}

// measure ends the program if it cannot.
func measure() usage {
	u := usage{Remains: remains.Count()}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	u.heap = int64(memory.HeapInuse)
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "Threads: %d", &u.threads)
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &u.rss); n == 1 {
			u.rss *= 1024
		}
	}
	if u.threads == 0 || u.rss == 0 {
		log.Fatalf("/proc/self/status tells no threads or no memory:\n%s", text)
	}
	return u
}

// measureKept is measure without what the garbage collector takes away.
func measureKept() usage {
	debug.FreeOSMemory()
	return measure()
}

func (u usage) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, %d threads, heap %s, RSS %s",
		u.Descriptors, u.Goroutines, u.threads, mebibytes(u.heap), mebibytes(u.rss))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
