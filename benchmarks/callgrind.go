package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"example.com/peercred/benchmarks/internal/order"
)

var errNoValgrind = errors.New("there is no valgrind here")

// instructions returns how many one execution of a subject takes, those of the kernel
// apart. They are the same every time, where nanoseconds are not.
//
// Now and then the runtime moves the goroutine to another thread while it counts. Then
// the difference between two runs is no multiple of the executions, and it is counted
// again.
func instructions(program, subject string, c *connection) (int, error) {
	if _, err := exec.LookPath("valgrind"); err != nil {
		return 0, errNoValgrind
	}
	const few, many, attempts = 200, 700, 5
	for range attempts {
		less, err := instructionsOf(program, subject, few, c)
		if err != nil {
			return 0, err
		}
		more, err := instructionsOf(program, subject, many, c)
		if err != nil {
			return 0, err
		}
		if n := more - less; n > 0 && n%(many-few) == 0 {
			return n / (many - few), nil
		}
	}
	return 0, fmt.Errorf("%s takes another number of instructions every time", subject)
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
