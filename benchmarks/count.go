//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
)

// systemCalls returns how many system calls of each name one execution of the subject
// makes. The runtime's threads wait for each other and wake each other at any time.
func systemCalls(subject string) (map[string]int, error) {
	const others = "trace=!futex,nanosleep,sched_yield,epoll_pwait"
	out, err := countedBy(subject, "strace", "--follow-forks", "--summary-only", "--summary-columns=calls,name", "-e", others)
	if err != nil {
		return nil, err
	}
	return parseCalls(out), nil
}

var callCount = regexp.MustCompile(`(?m)^ *(\d+) (\w+)$`)

// parseCalls divides the counts of strace by the number of executions. That rounds the
// calls away which a process makes once or now and then.
func parseCalls(table []byte) map[string]int {
	calls := map[string]int{}
	for _, m := range callCount.FindAllSubmatch(table, -1) {
		count, _ := strconv.Atoi(string(m[1]))
		if each := (count + executions/2) / executions; each > 0 && string(m[2]) != "total" {
			calls[string(m[2])] = each
		}
	}
	return calls
}

var instructionCount = regexp.MustCompile(`Collected : ([1-9]\d*)`)

// countInstructions returns how many instructions one execution of the subject takes
// outside of the kernel. It takes the smallest of three counts: on a busy machine the scheduler
// may add some.
func countInstructions(subject string) (instructions, error) {
	least := math.MaxInt
	for range 3 {
		out, err := countedBy(subject, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=main.counted")
		if err != nil {
			return 0, err
		}
		m := instructionCount.FindSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("valgrind counted no instructions of %s:\n%s", subject, out)
		}
		count, _ := strconv.Atoi(string(m[1]))
		least = min(least, count)
	}
	return instructions(least / executions), nil
}

// countedBy runs this program with a tool that counts what executing the subject takes.
func countedBy(subject, tool string, args ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(tool, append(args, self)...)
	// Signals that preempt, a second processor and the collector would make the
	// goroutine change threads.
	cmd.Env = append(os.Environ(), execute+"="+subject, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1", "GOGC=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd, err, bytes.TrimSpace(out))
	}
	return out, nil
}
