//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where and when something was measured.
type machine struct {
	processor, kernel, goVersion, system string
	processors                           int
	date                                 time.Time
	load                                 string // of the last minute, when it began
}

func thisMachine() machine {
	return machine{
		processor:  processor(),
		kernel:     kernel(),
		goVersion:  runtime.Version(),
		system:     runtime.GOOS + "/" + runtime.GOARCH,
		processors: runtime.NumCPU(),
		date:       time.Now(),
		load:       loadAverage(),
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, kernel %s, %s, %s, load %s before it began",
		m.processor, m.processors, m.system, m.kernel, m.goVersion, m.date.Format(time.DateOnly), m.load)
}

// processor is the model, from proc(5), where that names it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(text) {
		if key, value, found := bytes.Cut(line, []byte(":")); found && string(bytes.TrimSpace(key)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "an unnamed processor"
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// loadAverage is from proc(5): a machine that does other things measures worse.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
