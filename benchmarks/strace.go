//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"example.com/peercred/benchmarks/internal/order"
)

// traced are the system calls on sockets, descriptors and identity. The runtime makes
// others of its own, when it likes.
const traced = "trace=%net,dup,dup2,dup3,fcntl,close,openat,ioctl,poll,ppoll,epoll_ctl,pidfd_send_signal,getpid,getuid,geteuid"

// systemCalls returns which one execution of a subject makes, and how many of each.
func systemCalls(program, subject string, c *connection) (map[string]int, error) {
	const many = 100
	none, err := callsOf(program, subject, 0, c)
	if err != nil {
		return nil, err
	}
	calls, err := callsOf(program, subject, many, c)
	if err != nil {
		return nil, err
	}
	for name := range calls {
		calls[name] -= none[name]
		if calls[name]%many != 0 {
			return nil, fmt.Errorf("%d times %s made %d calls of %s more than none, which is no multiple", many, subject, calls[name], name)
		}
		if calls[name] /= many; calls[name] == 0 {
			delete(calls, name)
		}
	}
	return calls, nil
}

func callsOf(program, subject string, times int, c *connection) (map[string]int, error) {
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "log")
	cmd := exec.Command("strace", "-f", "-c", "-o", log, "-e", traced,
		program, order.Repeat, subject, strconv.Itoa(times))
	c.handTo(cmd)
	// The runtime's preemption signals ask for the pid too.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	table, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	return parseCalls(table)
}

// parseCalls reads the table of strace -c: the share of time, seconds, microseconds a
// call, calls, errors if there were any, and the name.
func parseCalls(table []byte) (map[string]int, error) {
	calls := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		name := fields[len(fields)-1]
		count, err := strconv.Atoi(fields[3])
		if err != nil || name == "total" {
			continue
		}
		calls[name] = count
	}
	if len(calls) == 0 {
		return nil, fmt.Errorf("strace counted nothing:\n%s", table)
	}
	return calls, nil
}

// total returns how many calls there are of all names.
func total(calls map[string]int) (n int) {
	for _, count := range calls {
		n += count
	}
	return n
}
