//go:build cgo

package cpeercred

/*
#cgo noescape cpeercred_open_process
#cgo nocallback cpeercred_open_process
#cgo noescape cpeercred_process_exited
#cgo nocallback cpeercred_process_exited
#cgo noescape cpeercred_process_pid
#cgo nocallback cpeercred_process_pid
#cgo noescape cpeercred_process_ids
#cgo nocallback cpeercred_process_ids
#cgo noescape cpeercred_since_boot
#cgo nocallback cpeercred_since_boot
#cgo noescape cpeercred_signal_process
#cgo nocallback cpeercred_signal_process
#include "cpeercred.h"
*/
import "C"

import (
	"errors"
	"math"
	"os"
	"syscall"
	"time"
)

// ProcessCall names the system's call behind [OpenProcess].
const ProcessCall = "getsockopt(SO_PEERPIDFD)"

// OpenProcess returns a pidfd of the process at the other end of the Unix socket
// fd: of the very process that [Credentials] names, whoever has its pid by now.
// It is close-on-exec and non-blocking, and the caller closes it.
//
// The error is ENOTCONN for a socket without a peer (Linux says ENODATA), ESRCH
// for a peer that has been reaped (before Linux 6.16; since then there is a pidfd
// of it all the same), EBADF, ENOTSOCK, EMFILE or ENFILE, EPROTO for an answer
// that is no descriptor, and errors.ErrUnsupported for a Linux before 6.5.
func OpenProcess(fd int) (pidfd int, err error) {
	if !isDescriptor(fd) {
		return -1, syscall.EBADF
	}
	var p C.int
	switch errno := syscall.Errno(C.cpeercred_open_process(C.int(fd), &p)); errno {
	case 0:
		return int(p), nil
	case syscall.ENOPROTOOPT:
		return -1, unsupportedError("this kernel does not have it; Linux has it since 6.5")
	default:
		return -1, errno
	}
}

// ProcessExited reports whether the process has ended. A zombie, which has ended
// and was not waited for, has.
func ProcessExited(pidfd int) (bool, error) {
	if !isDescriptor(pidfd) {
		return false, syscall.EBADF
	}
	var exited C.int
	if errno := C.cpeercred_process_exited(C.int(pidfd), &exited); errno != 0 {
		return false, syscall.Errno(errno)
	}
	return exited != 0, nil
}

// ProcessPID returns the pid of the process in our pid namespace, or 0 if it has
// none there. The error is ESRCH if it has been reaped or, before Linux 6.15, has
// none there, and errors.ErrUnsupported before Linux 6.13, which has no
// PIDFD_GET_INFO.
func ProcessPID(pidfd int) (int32, error) {
	if !isDescriptor(pidfd) {
		return 0, syscall.EBADF
	}
	var pid C.int32_t
	if errno := C.cpeercred_process_pid(C.int(pidfd), &pid); errno != 0 {
		return 0, infoError(syscall.Errno(errno))
	}
	return int32(pid), nil
}

// ProcessIDs returns the ids of the process as of now: real, effective, saved and
// file system's uid, and the same four gids. Those that our user namespace does
// not map are the overflow id, 65534. It fails as [ProcessPID] does, and with
// EREMOTE if the process is in a pid namespace that we do not see.
func ProcessIDs(pidfd int) (ids [8]uint32, err error) {
	if !isDescriptor(pidfd) {
		return ids, syscall.EBADF
	}
	var told [8]C.uint32_t
	if errno := C.cpeercred_process_ids(C.int(pidfd), &told[0]); errno != 0 {
		return ids, infoError(syscall.Errno(errno))
	}
	for i, id := range told {
		ids[i] = uint32(id)
	}
	return ids, nil
}

func infoError(errno syscall.Errno) error {
	switch errno {
	case syscall.ENOTTY, syscall.EINVAL: // before 6.11, and before 6.13
		return unsupportedError("this kernel does not have PIDFD_GET_INFO; Linux has it since 6.13")
	}
	return errno
}

// SinceBoot returns how long ago the system was booted, as our time namespace has it.
// Time asleep counts. It is the clock by which proc_pid_stat(5) tells when a process
// was started.
//
// Source: clock_gettime(2), CLOCK_BOOTTIME.
func SinceBoot() (time.Duration, error) {
	var nanoseconds C.int64_t
	if errno := C.cpeercred_since_boot(&nanoseconds); errno != 0 {
		return 0, syscall.Errno(errno)
	}
	return time.Duration(nanoseconds), nil
}

// SignalProcess sends the process a signal, which is a [syscall.Signal]; 0 or nil
// sends none and tells whether one could be sent. The error is ESRCH if the process has
// been reaped, EPERM if it may not be signalled, EINVAL for what is no signal and
// for a process that is not in our pid namespace nor in one below.
//
// Source: pidfd_send_signal(2), since Linux 5.1.
func SignalProcess(pidfd int, signal os.Signal) error {
	s, ok := signal.(syscall.Signal)
	if signal != nil && (!ok || s < 0 || s > math.MaxInt32) { // an int to the kernel
		return syscall.EINVAL
	}
	if !isDescriptor(pidfd) {
		return syscall.EBADF
	}
	if errno := C.cpeercred_signal_process(C.int(pidfd), C.int(s)); errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

// IsGone reports whether err says that a process has been reaped.
func IsGone(err error) bool { return errors.Is(err, syscall.ESRCH) }
