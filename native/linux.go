//go:build linux

package native

import (
	"errors"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type system struct{ sockets }

// credentials returns the effective ids of the process at the other end of the Unix socket
// fd. They are captured at the peer's connect(2) on the accepted end, at listen(2) on the
// connecting end, and at the creation of a socketpair. They stay the same after the peer
// changes its ids or exits. pid is 0 if the process is not visible in our pid namespace. An
// id that our user namespace does not map is the overflow id, 65534.
//
// The error is ENOTCONN for a socket without a peer (unconnected, a connected datagram
// socket, TCP). Call [CheckCanHavePeer] and [AnswersForCaller] if the socket or the kernel
// is in doubt.
//
// Source: unix(7), sk_getsockopt in net/core/sock.c.
//
// It makes the system call itself instead of calling getsockopt, because it is called most
// often.
func (system) credentials(fd int) (pid int32, uid, gid uint32, err error) {
	if fd < 0 || fd > math.MaxInt32 {
		return 0, 0, 0, unix.EBADF
	}
	cred := poisonedLinuxUcred()
	length := uint32(unsafe.Sizeof(cred))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT,
		uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERCRED,
		uintptr(unsafe.Pointer(&cred)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return cred.decode(length)
}

// family asks for SO_DOMAIN, which every socket has. getsockname(2) would allocate in x/sys.
//
// Source: socket(7).
func (system) family(fd int) (int, error) { return socketOption(fd, unix.SO_DOMAIN) }

const errPacketEnds = unsupportedError("the kernel names each end of a SOCK_SEQPACKET connection as its own peer (as gVisor does): use SOCK_STREAM")

// packetEndsAreRight remembers that the kernel passed checkPacketEnds.
var packetEndsAreRight atomic.Bool

// checkPacketEnds returns an error if the kernel confuses the ends of a SOCK_SEQPACKET
// connection. Such a kernel gives each end its own credentials instead of its peer's. A
// kernel that passed is not checked again.
func (system) checkPacketEnds() error {
	if packetEndsAreRight.Load() {
		return nil
	}
	switch confused, err := confusesPacketEnds(); {
	case err != nil:
		return err
	case confused:
		return errPacketEnds
	}
	packetEndsAreRight.Store(true)
	return nil
}

// confusesPacketEnds asks about a socket whose connection was refused. Linux reports no
// peer for it. gVisor (release 20260905) reports the caller, because its connectioned.go
// exchanges credentials only for SOCK_STREAM. The other socket has an abstract name that
// the kernel chooses.
func confusesPacketEnds() (bool, error) {
	deaf, err := packetSocket()
	if err != nil {
		return false, err
	}
	defer unix.Close(deaf)
	refused, err := packetSocket()
	if err != nil {
		return false, err
	}
	defer unix.Close(refused)
	if err := unix.Bind(deaf, &unix.SockaddrUnix{}); err != nil {
		return false, err
	}
	name, err := unix.Getsockname(deaf)
	if err != nil {
		return false, err
	}
	switch err := unix.Connect(refused, name); {
	case err == nil: // although deaf does not listen
		return false, unix.EPROTO
	case !errors.Is(err, unix.ECONNREFUSED):
		return false, err
	}
	return namesAPeer(refused)
}

func packetSocket() (fd int, err error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
}

// fewGroups is enough for most processes. maxGroups is more than any process can have
// (NGROUPS_MAX is 65,536).
const (
	fewGroups = 64
	maxGroups = 1 << 20
)

// groups returns the supplementary groups of the process at the other end of the Unix
// socket fd, captured with its [Credentials], in the kernel's order. It is not nil if there
// are none. The effective gid is among them only if it is a supplementary group too. A
// group that our user namespace does not map is the overflow id, 65534.
//
// The error is ENOTCONN for a socket without a peer, for which the kernel says ENODATA. It
// is errors.ErrUnsupported before Linux 4.13.
//
// Source: sk_getsockopt in net/core/sock.c.
func (system) groups(fd int) ([]uint32, error) {
	var few [fewGroups]uint32
	groups := few[:]
	for {
		poisonIDs(groups)
		size := uintptr(len(groups)) * unsafe.Sizeof(groups[0])
		length, err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS, unsafe.Pointer(&groups[0]), size)
		switch {
		case err == nil:
			return decodeGroups(groups, length)
		case !errors.Is(err, unix.ERANGE):
			return nil, groupsError(err)
		}
		count := uintptr(length) / unsafe.Sizeof(groups[0])
		if count <= uintptr(len(groups)) || count > maxGroups {
			return nil, unix.EPROTO
		}
		groups = make([]uint32, count)
	}
}

func groupsError(err error) error {
	switch {
	case errors.Is(err, unix.ENODATA):
		return unix.ENOTCONN
	case errors.Is(err, unix.ENOPROTOOPT):
		return unsupportedError("this kernel does not have it; Linux has it since 4.13")
	}
	return err
}

// shortLabel is enough for most labels. maxLabel is more than any security module makes.
const (
	shortLabel = 256
	maxLabel   = 1 << 20
)

// securityLabel returns the label that a Linux security module (SELinux, AppArmor, Smack)
// gave the socket at the other end of the Unix socket fd. A NUL at its end, which some
// modules count, is removed. The label is never empty.
//
// The error is errors.ErrUnsupported if no security module labels the socket (ENOPROTOOPT)
// or the label is empty. It is EPROTO for a label with a NUL inside. A socket without a peer
// may have a label too: call [Credentials] and [CheckCanHavePeer] if that is in doubt.
//
// Source: the getpeersec_stream hooks in security/.
func (system) securityLabel(fd int) (string, error) {
	return readLabel(func(buffer []byte) (length uint32, err error) {
		return getsockopt(fd, unix.SOL_SOCKET, unix.SO_PEERSEC, unsafe.Pointer(&buffer[0]), uintptr(len(buffer)))
	})
}

// readLabel reads the label, and tries again with a larger buffer if it does not fit.
func readLabel(ask func(buffer []byte) (length uint32, err error)) (string, error) {
	label := make([]byte, shortLabel)
	for {
		length, err := ask(label)
		switch {
		case err == nil:
			return decodeLabel(label, length)
		case errors.Is(err, unix.ENOPROTOOPT):
			return "", unsupportedError("no Linux security module labels this socket")
		case !errors.Is(err, unix.ERANGE):
			return "", err
		case int(length) <= len(label) || length > maxLabel:
			return "", unix.EPROTO
		}
		label = make([]byte, length)
	}
}

// openProcess returns a pidfd of the process that [Credentials] names, even if another
// process has its pid now. The pidfd is close-on-exec and non-blocking. The caller closes
// it.
//
// The error is ENOTCONN for a socket without a peer, for which the kernel says ENODATA. It
// is errors.ErrUnsupported before Linux 6.5, and EMFILE or ENFILE if no descriptor is left.
// Before Linux 6.16 it is ESRCH for a peer that has been reaped. Since then such a peer has
// a pidfd too.
//
// Source: sk_getsockopt in net/core/sock.c, pidfd_prepare in kernel/fork.c.
func (system) openProcess(fd int) (pidfd int, err error) {
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
	case errors.Is(err, unix.EINVAL): // the peer has been reaped, before Linux 6.16
		return unix.ESRCH
	case errors.Is(err, unix.ENOPROTOOPT):
		return unsupportedError("this kernel does not have it; Linux has it since 6.5")
	}
	return err
}

// processExited reports whether the process has ended. A zombie has ended.
//
// Source: pidfd_open(2).
func (system) processExited(pidfd int) (bool, error) {
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

// processPID returns the pid that the process has in our pid namespace, or 0 if it has none
// there. The error is ESRCH if the process has been reaped. Before Linux 6.15 it is also
// ESRCH if the process has no pid there. Before Linux 6.13, which lacks PIDFD_GET_INFO, it
// is errors.ErrUnsupported.
//
// Source: linux/pidfd.h, pidfd_info in fs/pidfs.c.
func (system) processPID(pidfd int) (int32, error) {
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

// processIDs returns the current ids of the process: the real, effective, saved and file
// system uid, then the same four gids. An id that our user namespace does not map is the
// overflow id, 65534. The errors are those of [ProcessPID], and EREMOTE if the process is
// in a pid namespace that is not visible in ours.
func (system) processIDs(pidfd int) (ids [8]uint32, err error) {
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
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL): // before Linux 6.11, before 6.13
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

// sinceBoot returns the time since the system was booted, in our time namespace. It includes
// the time that the system was suspended. proc_pid_stat(5) reports the start of a process by
// this clock.
//
// Source: clock_gettime(2), CLOCK_BOOTTIME.
func (system) sinceBoot() (time.Duration, error) {
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

// signalProcess sends a [unix.Signal] to the process. Signal 0 or nil sends nothing, and
// reports by the error whether a signal could be sent. The error is ESRCH if the process
// has been reaped, EPERM if we may not signal it, and EINVAL for an invalid signal. It is
// also EINVAL if the process is in a pid namespace that is neither ours nor below ours.
//
// Source: pidfd_send_signal(2), since Linux 5.1.
func (system) signalProcess(pidfd int, signal os.Signal) error {
	s, ok := signal.(unix.Signal)
	if signal != nil && (!ok || s < 0 || s > math.MaxInt32) { // an int to the kernel
		return unix.EINVAL
	}
	if err := checkDescriptor(pidfd); err != nil {
		return err
	}
	return unix.PidfdSendSignal(pidfd, s, nil, 0)
}

// isGone reports whether err says that a process has been reaped.
func (system) isGone(err error) bool { return errors.Is(err, unix.ESRCH) }
