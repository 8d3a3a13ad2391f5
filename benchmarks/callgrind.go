//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"

	"example.com/peercred/benchmarks/internal/order"
)

var errNoValgrind = errors.New("there is no valgrind here")

// instructions returns how many one execution of a subject takes, those of the kernel
// apart. They are the same every time, where nanoseconds are not.
//
// They are the difference between two runs of different length.
func instructions(program, subject string, c *connection) (int, error) {
	if _, err := exec.LookPath("valgrind"); err != nil {
		return 0, errNoValgrind
	}
	const few, many = 100, 300
	less, err := instructionsAgreed(program, subject, few, c)
	if err != nil {
		return 0, err
	}
	more, err := instructionsAgreed(program, subject, many, c)
	if err != nil {
		return 0, err
	}
	return (more - less) / (many - few), nil
}

// instructionsAgreed counts until it counts the same for the second time: now and then
// the runtime moves the goroutine to another thread, whose instructions are lost.
func instructionsAgreed(program, subject string, times int, c *connection) (int, error) {
	const attempts = 8
	var counts []int
	for range attempts {
		n, err := instructionsOf(program, subject, times, c)
		if err != nil {
			return 0, err
		}
		if slices.Contains(counts, n) {
			return n, nil
		}
		counts = append(counts, n)
	}
	return 0, fmt.Errorf("%d times %s took another number of instructions in every run: %v", times, subject, counts)
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

func instructionsOf(program, subject string, times int, c *connection) (int, error) {
	cmd := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
		"--toggle-collect="+order.MeasuredFunction, program, order.Repeat, subject, strconv.Itoa(times))
	c.handTo(cmd)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1", "GOGC=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	m := collected.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%v: it counted nothing:\n%s", cmd, out)
	}
	return strconv.Atoi(string(m[1]))
}
