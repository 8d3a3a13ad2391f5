//go:build linux

// Package remains counts what a connection could leave behind in this process.
package remains

import (
	"log"
	"os"
	"runtime"
	"time"
)

// Remains are open descriptors and goroutines.
type Remains struct{ Descriptors, Goroutines int }

// Count counts them, with the descriptor that this takes. That it cannot ends the
// program.
func Count() Remains {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		log.Fatal(err)
	}
	return Remains{len(entries), runtime.NumGoroutine()}
}

// AtRest waits until what is on its way has ended, and returns what remains: the
// same, several times in a row.
func AtRest() Remains {
	before := Count()
	for same := 0; same < 100; {
		time.Sleep(time.Millisecond)
		now := Count()
		same++
		if now != before {
			before, same = now, 0
		}
	}
	return before
}
