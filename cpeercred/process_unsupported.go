//go:build !cgo || !linux

package cpeercred

import (
	"os"
	"time"
)

// ProcessCall names the system's call behind [OpenProcess]: here there is none.
const ProcessCall = "none"

func noHandle() error {
	return unsupported("the system gives no handle on the process of a socket's peer")
}

// OpenProcess always fails here, with an error that is errors.ErrUnsupported.
func OpenProcess(int) (pidfd int, err error) { return -1, noHandle() }

// ProcessExited always fails here, with an error that is errors.ErrUnsupported.
func ProcessExited(int) (bool, error) { return false, noHandle() }

// ProcessPID always fails here, with an error that is errors.ErrUnsupported.
func ProcessPID(int) (int32, error) { return 0, noHandle() }

// ProcessIDs always fails here, with an error that is errors.ErrUnsupported.
func ProcessIDs(int) ([8]uint32, error) { return [8]uint32{}, noHandle() }

// SinceBoot always fails here, with an error that is errors.ErrUnsupported.
func SinceBoot() (time.Duration, error) { return 0, noHandle() }

// SignalProcess always fails here, with an error that is errors.ErrUnsupported.
func SignalProcess(int, os.Signal) error { return noHandle() }

// IsGone reports false here, where no process is asked about.
func IsGone(error) bool { return false }
