//go:build !linux

package native

import (
	"os"
	"time"
)

// ProcessCall names the system's call behind [OpenProcess]: here there is none.
const ProcessCall = "none"

const errNoHandle = unsupportedError("the system gives no handle on the process of a socket's peer")

// OpenProcess always fails here, with an error that is errors.ErrUnsupported.
func OpenProcess(int) (pidfd int, err error) { return -1, errNoHandle }

// ProcessExited always fails here, with an error that is errors.ErrUnsupported.
func ProcessExited(int) (bool, error) { return false, errNoHandle }

// ProcessPID always fails here, with an error that is errors.ErrUnsupported.
func ProcessPID(int) (int32, error) { return 0, errNoHandle }

// ProcessIDs always fails here, with an error that is errors.ErrUnsupported.
func ProcessIDs(int) ([8]uint32, error) { return [8]uint32{}, errNoHandle }

// SinceBoot always fails here, with an error that is errors.ErrUnsupported.
func SinceBoot() (time.Duration, error) { return 0, errNoHandle }

// SignalProcess always fails here, with an error that is errors.ErrUnsupported.
func SignalProcess(int, os.Signal) error { return errNoHandle }

// IsGone reports false here, where no process is asked about.
func IsGone(error) bool { return false }
