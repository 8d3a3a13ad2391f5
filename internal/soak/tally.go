//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"example.com/peercred"
	"golang.org/x/sys/unix"
)

// counts are what came of the questions.
type counts struct {
	Answers  map[string]int64 // right ones, by question
	Errors   map[string]int64 // those that may be, by kind
	Wrong    int64            // answers, and errors that may not be
	Examples []string         // of the wrong
}

func newCounts() counts { return counts{Answers: map[string]int64{}, Errors: map[string]int64{}} }

// A client's report must stay below PIPE_BUF, to arrive as a whole or not at all.
const (
	maxExamples = 5
	maxExample  = 300
)

// tally counts, for any number of goroutines.
type tally struct {
	mu sync.Mutex
	counts
}

func newTally() *tally { return &tally{counts: newCounts()} }

func (t *tally) answered(question string) {
	t.mu.Lock()
	t.Answers[question]++
	t.mu.Unlock()
}

// failed counts an error that may be, and no error not at all.
func (t *tally) failed(what string, err error) {
	if err == nil {
		return
	}
	kind := what + ": " + kindOf(err)
	t.mu.Lock()
	t.Errors[kind]++
	t.mu.Unlock()
}

// kindOf leaves out of an error what differs from one to the next.
func kindOf(err error) string {
	var errno unix.Errno
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	var gone *peercred.ErrPeerProcessGone
	switch {
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed):
		return "closed"
	case errors.As(err, &gone):
		return "gone"
	case errors.As(err, &unavailable):
		return "unavailable"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// wrong counts what must not be.
func (t *tally) wrong(format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Wrong++
	if len(t.Examples) < maxExamples {
		t.Examples = append(t.Examples, text[:min(len(text), maxExample)])
	}
}

// check counts an answer, or what is wrong with it.
func (t *tally) check(question string, right bool, err error, got, want any) {
	switch {
	case err != nil:
		t.wrong("%s: %v, want %v", question, err, want)
	case !right:
		t.wrong("%s: %v, want %v", question, got, want)
	default:
		t.answered(question)
	}
}

func (t *tally) add(c counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for question, n := range c.Answers {
		t.Answers[question] += n
	}
	for kind, n := range c.Errors {
		t.Errors[kind] += n
	}
	t.Wrong += c.Wrong
	t.Examples = append(t.Examples, c.Examples[:min(len(c.Examples), maxExamples-len(t.Examples))]...)
}

// read returns a copy.
func (t *tally) read() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return counts{maps.Clone(t.Answers), maps.Clone(t.Errors), t.Wrong, slices.Clone(t.Examples)}
}

// take returns what was counted since it was last called.
func (t *tally) take() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.counts
	t.counts = newCounts()
	return taken
}

// listed is for people.
func listed(numbers map[string]int64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		list = append(list, fmt.Sprintf("%d %s", numbers[name], name))
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
