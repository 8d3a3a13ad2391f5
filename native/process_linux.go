package native

import (
	"errors"
	"math"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ProcessCall names the kernel's call behind [OpenProcess].
const ProcessCall = "getsockopt(SO_PEERPIDFD)"

// OpenProcess returns a pidfd of the process at the other end of the Unix socket
// fd: of the very process that [Credentials] names, whoever has its pid by now.
// It is close-on-exec and non-blocking, and the caller closes it.
//
// The error is ENOTCONN for a socket without a peer (Linux says ENODATA), ESRCH
// for a peer that has been reaped (before Linux 6.16; since then there is a pidfd
// of it all the same), EBADF, ENOTSOCK, EMFILE or ENFILE, EPROTO for an answer
// that is no descriptor, and errors.ErrUnsupported for a Linux before 6.5.
//
// Source: sk_getsockopt in net/core/sock.c, pidfd_prepare in kernel/fork.c.
func OpenProcess(fd int) (pidfd int, err error) {
	process := int32(-1)
	length, err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD, unsafe.Pointer(&process), unsafe.Sizeof(process))
	if err != nil {
		return -1, openError(err)
	}
	if err := checkPidfd(process, length); err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(int(process), true); err != nil { // for Go's poller
		unix.Close(int(process))
		return -1, err
	}
	return int(process), nil
}

func checkPidfd(process int32, length uint32) error {
	if uintptr(length) != unsafe.Sizeof(process) || process < 0 {
		return unix.EPROTO
	}
	return nil
}

func openError(err error) error {
	switch {
	case errors.Is(err, unix.ENODATA):
		return unix.ENOTCONN
	case errors.Is(err, unix.EINVAL): // reaped, for kernels before 6.16
		return unix.ESRCH
	case errors.Is(err, unix.ENOPROTOOPT):
		return unsupportedError("this kernel does not have it; Linux has it since 6.5")
	}
	return err
}

// ProcessExited reports whether the process has ended. A zombie, which has ended
// and was not waited for, has.
//
// Source: pidfd_open(2).
func ProcessExited(pidfd int) (bool, error) {
	if err := checkDescriptor(pidfd); err != nil {
		return false, err
	}
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(poll, 0)
	}
	if err != nil {
		return false, err
	}
	return decodePoll(n, poll[0].Revents)
}

func decodePoll(n int, events int16) (exited bool, err error) {
	switch {
	case events&unix.POLLNVAL != 0:
		return false, unix.EBADF
	case events&unix.POLLERR != 0 || n != pollCount(events):
		return false, unix.EPROTO
	}
	return events != 0, nil
}

// pollCount is what poll(2) returns about one descriptor with these events.
func pollCount(events int16) int {
	if events == 0 {
		return 0
	}
	return 1
}

// ProcessPID returns the pid of the process in our pid namespace, or 0 if it has
// none there. The error is ESRCH if it has been reaped or, before Linux 6.15, has
// none there, and errors.ErrUnsupported before Linux 6.13, which has no
// PIDFD_GET_INFO.
//
// Source: linux/pidfd.h, pidfd_info in fs/pidfs.c.
func ProcessPID(pidfd int) (int32, error) {
	info, err := processInfo(pidfd, unix.PIDFD_INFO_PID)
	switch {
	case errors.Is(err, unix.EREMOTE):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return decodeInfoPID(info)
}

func decodeInfoPID(i *unix.PidfdInfo) (int32, error) {
	if i.Mask&unix.PIDFD_INFO_PID == 0 || int32(i.Tgid) < 1 {
		return 0, unix.EPROTO
	}
	return int32(i.Tgid), nil
}

// ProcessIDs returns the ids of the process as of now: real, effective, saved and
// file system's uid, and the same four gids. Those that our user namespace does
// not map are the overflow id, 65534. It fails as [ProcessPID] does, and with
// EREMOTE if the process is in a pid namespace that we do not see.
func ProcessIDs(pidfd int) (ids [8]uint32, err error) {
	info, err := processInfo(pidfd, unix.PIDFD_INFO_CREDS)
	if err != nil {
		return ids, err
	}
	return decodeInfoIDs(info)
}

func decodeInfoIDs(i *unix.PidfdInfo) (ids [8]uint32, err error) {
	told := [8]uint32{i.Ruid, i.Euid, i.Suid, i.Fsuid, i.Rgid, i.Egid, i.Sgid, i.Fsgid}
	if i.Mask&unix.PIDFD_INFO_CREDS == 0 || slices.Contains(told[:], noID) {
		return ids, unix.EPROTO
	}
	return told, nil
}

func processInfo(pidfd int, mask uint64) (*unix.PidfdInfo, error) {
	if err := checkDescriptor(pidfd); err != nil {
		return nil, err
	}
	info := poisonedPidfdInfo(mask)
	err := unix.IoctlPidfdInfo(pidfd, &info)
	switch {
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL): // before 6.11, and before 6.13
		return nil, unsupportedError("this kernel does not have PIDFD_GET_INFO; Linux has it since 6.13")
	case err != nil:
		return nil, err
	}
	return &info, nil
}

// poisonedPidfdInfo has ids that no process has.
func poisonedPidfdInfo(mask uint64) unix.PidfdInfo {
	return unix.PidfdInfo{
		Mask: mask, Pid: noID, Tgid: noID,
		Ruid: noID, Euid: noID, Suid: noID, Fsuid: noID,
		Rgid: noID, Egid: noID, Sgid: noID, Fsgid: noID,
	}
}

// SinceBoot returns how long ago the system was booted, as our time namespace has it.
// Time asleep counts. It is the clock by which proc_pid_stat(5) tells when a process
// was started.
//
// Source: clock_gettime(2), CLOCK_BOOTTIME.
func SinceBoot() (time.Duration, error) {
	now := unix.Timespec{Sec: -1, Nsec: -1}
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, err
	}
	return decodeClock(now.Unix())
}

func decodeClock(seconds, nanoseconds int64) (time.Duration, error) {
	const second = int64(time.Second)
	if seconds < 0 || seconds >= math.MaxInt64/second || nanoseconds < 0 || nanoseconds >= second {
		return 0, unix.EPROTO
	}
	return time.Duration(seconds*second + nanoseconds), nil
}

// SignalProcess sends the process a signal, which is a [unix.Signal]; 0 or nil
// sends none and tells whether one could be sent. The error is ESRCH if the process has
// been reaped, EPERM if it may not be signalled, EINVAL for what is no signal and
// for a process that is not in our pid namespace nor in one below.
//
// Source: pidfd_send_signal(2), since Linux 5.1.
func SignalProcess(pidfd int, signal os.Signal) error {
	s, ok := signal.(unix.Signal)
	if signal != nil && (!ok || s < 0 || s > math.MaxInt32) { // an int to the kernel
		return unix.EINVAL
	}
	if err := checkDescriptor(pidfd); err != nil {
		return err
	}
	return unix.PidfdSendSignal(pidfd, s, nil, 0)
}

// IsGone reports whether err says that a process has been reaped.
func IsGone(err error) bool { return errors.Is(err, unix.ESRCH) }
