//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"time"

	"example.com/peercred/internal/testlog"
)

// result is what one test binary told.
type result struct {
	run
	testlog.Log
	began  time.Time
	exited bool
	code   int
}

func (r *result) begin() { r.began = time.Now() }

func (r *result) exit(code int) { r.exited, r.code = true, code }

// progress is what there is to tell when it has exited.
func (r *result) progress() string {
	return fmt.Sprintf("%s %-9s exits with %d after %.1fs: %s", r.Setting, r.Package, r.code, time.Since(r.began).Seconds(), r.Counts)
}

// complaints are what is wrong with the run, if anything.
func (r *result) complaints(skips []string) []string {
	if !r.exited {
		return []string{"did not end"}
	}
	return r.Complaints(r.code, skips)
}
