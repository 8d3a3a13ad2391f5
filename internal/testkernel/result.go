//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"time"

	"example.com/peercred/internal/testlog"
)

// expectedSkips begin the reasons that a test may have not to run in the machine,
// which holds the test binaries and nothing else.
var expectedSkips = []string{
	"needs strace, ",
	"needs a C compiler ",
	"needs SO_PEERPIDFD, ",
	"needs SO_PASSRIGHTS, ",
	"needs the source beside the test: ",
}

// result is what one test binary told.
type result struct {
	run
	testlog.Log
	began  time.Time
	exited bool
	code   int
}

func (r *result) begin() { r.began = time.Now() }

func (r *result) exit(code int) {
	r.exited, r.code = true, code
	fmt.Printf("  %s %-9s exits with %d after %.1fs: %s\n", r.Setting, r.Package, code, time.Since(r.began).Seconds(), r.Counts)
}

// complaints are what is wrong with the run, if anything.
func (r *result) complaints() []string {
	if !r.exited {
		return []string{"did not end"}
	}
	return r.Complaints(r.code, expectedSkips)
}
