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

// questions must each have been answered in the end.
var questions = []string{
	"admission", "credentials", "current credentials", "denial", "ended process", "groups", "guard's credentials",
	"handed over", "process", "server", "web answer", "web denial", "web peer", "welcome",
}

// tally counts right answers, for any number of goroutines. A wrong one makes it fail.
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

// complete fails if a question was never answered.
func (t *tally) complete() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if got := slices.Sorted(maps.Keys(t.right)); !slices.Equal(got, questions) {
		return fmt.Errorf("answered: %q, want %q", got, questions)
	}
	return nil
}

// remains are what may not be left over of a connection.
type remains struct{ descriptors, goroutines int }

// count counts them, with the descriptor that this takes.
func count() remains {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		log.Fatal(err)
	}
	return remains{len(entries), runtime.NumGoroutine()}
}

// memory is how many bytes of it the process has, without garbage.
func memory() (bytes int) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	_, scanErr := fmt.Sscan(string(text), new(int), &bytes) // in pages
	if err := errors.Join(err, scanErr); err != nil {
		log.Fatalf("/proc/self/statm: %v", err)
	}
	return bytes * os.Getpagesize()
}
