//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
)

// questions lists the questions that must be answered at least once.
var questions = []string{
	"admission", "credentials", "current credentials", "denial", "ended process", "groups", "guard's credentials",
	"guard's loopback uid", "handed over", "loopback uid", "process", "sender", "sender's process", "server", "web answer", "web denial", "web peer", "welcome",
}

// tally counts right answers, for any number of goroutines. A wrong answer fails the run.
type tally struct {
	fail  func(error)
	mu    sync.Mutex
	right map[string]int // by question
}

func (t *tally) check(question string, right bool, err error, got, want any) {
	switch {
	case err != nil:
		t.fail(fmt.Errorf("wrong: %s: %w, want %v", question, err, want))
	case !right:
		t.fail(fmt.Errorf("wrong: %s: %v, want %v", question, got, want))
	default:
		t.add(map[string]int{question: 1})
	}
}

func (t *tally) add(right map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for question, n := range right {
		t.right[question] += n
	}
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprint(t.right)
}

func (t *tally) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, right := range t.right {
		n += right
	}
	return n
}

// complete returns an error if a question was never answered.
func (t *tally) complete() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if got := slices.Sorted(maps.Keys(t.right)); !slices.Equal(got, questions) {
		return fmt.Errorf("answered: %q, want %q", got, questions)
	}
	return nil
}

// remains are the resources that a connection must release.
type remains struct{ descriptors, goroutines int }

// count counts them, including the descriptor that counting uses.
func count() remains {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		log.Fatal(err)
	}
	return remains{len(entries), runtime.NumGoroutine()}
}

// memory returns the memory of the process in bytes, without garbage.
func memory() (bytes int) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	_, scanErr := fmt.Sscan(string(text), new(int), &bytes) // in pages
	if err := errors.Join(err, scanErr); err != nil {
		log.Fatalf("/proc/self/statm: %v", err)
	}
	return bytes * os.Getpagesize()
}
