//go:build linux && (cgo || !android)

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// fuzzAll fuzzes -jobs targets at a time, and says what becomes of each.
func fuzzAll(ctx context.Context, targets []target) []outcome {
	outcomes := make([]outcome, len(targets))
	slots := make(chan struct{}, *jobs)
	var mu sync.Mutex // of what follows, and of stdout
	done := 0
	var all sync.WaitGroup
	rounds := (len(targets) + *jobs - 1) / *jobs
	fmt.Printf("%d targets, %d at a time, %v each: about %v\n", len(targets), *jobs, *fuzzTime, time.Duration(rounds)**fuzzTime)
	for i, t := range targets {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			start := time.Now()
			var o outcome
			if o.err = ctx.Err(); o.err == nil {
				o = t.fuzz(ctx)
			}
			o.seconds = time.Since(start).Seconds()
			mu.Lock()
			defer mu.Unlock()
			done++
			outcomes[i] = o
			fmt.Printf("[%d/%d] %s: %s\n", done, len(targets), t.name(), o.verdict())
		})
	}
	all.Wait()
	return outcomes
}

func (o outcome) verdict() string {
	switch {
	case o.err != nil:
		return "could not be fuzzed"
	case o.found != finding{}:
		return "FOUND SOMETHING"
	}
	return "nothing found"
}

func printSummary(out io.Writer, targets []target, outcomes []outcome) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "target\texecutions\tnew corpus entries\tseconds\toutcome")
	for i, t := range targets {
		o := outcomes[i]
		fmt.Fprintf(table, "%s\t%d\t%d\t%.0f\t%s\n", t.name(), o.executions, o.learnt, o.seconds, o.verdict())
	}
	table.Flush()
}

// errorOf tells of all that went wrong, at length.
func errorOf(ctx context.Context, targets []target, outcomes []outcome) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	var all []error
	for i, t := range targets {
		o := outcomes[i]
		switch {
		case o.err != nil:
			all = append(all, fmt.Errorf("%s: %w", t.name(), o.err))
		case o.found != finding{}:
			text := fmt.Sprintf("%s found something:\n%s\nreproduce it with\n  %s", t.name(), o.found.says, o.found.reproduce)
			if o.found.input != "" {
				text += "\nthe input is " + o.found.input + ": make a test of it, or remove it"
			}
			all = append(all, errors.New(text))
		}
	}
	return errors.Join(all...)
}

// output runs a command, which is interrupted with all its children when ctx is done.
func output(ctx context.Context, cmd []string, options ...func(*exec.Cmd)) (string, error) {
	c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	for _, option := range options {
		option(c)
	}
	err := c.Run()
	return out.String(), err
}

func mustOutput(ctx context.Context, cmd []string, options ...func(*exec.Cmd)) (string, error) {
	out, err := output(ctx, cmd, options...)
	if err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return out, nil
}

func in(dir string) func(*exec.Cmd) { return func(c *exec.Cmd) { c.Dir = dir } }

func with(variables ...string) func(*exec.Cmd) {
	return func(c *exec.Cmd) { c.Env = append(c.Environ(), variables...) }
}
