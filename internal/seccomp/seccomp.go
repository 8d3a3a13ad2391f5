//go:build linux

// Package seccomp forges the kernel's answers for tests. [Forge] makes system calls of this
// process fail, or succeed without being made, as a sandbox can.
package seccomp

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// Call is a system call, by its number and, unless Argument is -1, by the lower 32 bits
// of one argument, such as the option of getsockopt(2).
type Call struct {
	Number   uintptr
	Argument int
	Value    uint32
}

// Any is the call whatever its arguments.
func Any(number uintptr) Call { return Call{number, -1, 0} }

// Option is getsockopt(2) of an option at SOL_SOCKET.
func Option(option int) Call { return Call{unix.SYS_GETSOCKOPT, 2, uint32(option)} }

// Need skips a test where [Forge] cannot be used.
func Need(t testing.TB) { need(t, unix.SECCOMP_RET_ERRNO) }

// NeedNotification skips a test that needs SECCOMP_RET_USER_NOTIF.
func NeedNotification(t testing.TB) { need(t, unix.SECCOMP_RET_USER_NOTIF) }

func need(t testing.TB, action uint32) {
	t.Helper()
	switch runtime.GOARCH {
	case "386", "arm", "mips", "mipsle", "ppc64", "ppc64le", "s390x":
		t.Skip("needs seccomp filters: the C library may ask by socketcall(2), or by another call of two, on ", runtime.GOARCH)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))); errno != 0 {
		t.Skipf("needs seccomp filters: this kernel does not have action %#x: %v", action, errno)
	}
}

// Forge has the kernel answer each of the calls with errno, in all threads, and make
// none of them. An errno of 0 is success. It cannot be undone, but the last one forged
// is the one that counts. The process must not have more to do than its test: it
// cannot gain privileges any more, either.
//
// Source: seccomp(2).
func Forge(errno syscall.Errno, calls ...Call) error {
	var program []unix.SockFilter
	for _, c := range calls {
		program = append(program, c.Program(unix.SECCOMP_RET_ERRNO|uint32(errno))...)
	}
	failed, err := Install(program, unix.SECCOMP_FILTER_FLAG_TSYNC)
	if err == nil && failed != 0 {
		err = fmt.Errorf("seccomp(2): thread %d would not take the filter", failed)
	}
	return err
}

// Install installs a filter that allows what program leaves, and returns what seccomp(2)
// does.
func Install(program []unix.SockFilter, flags uintptr) (result uintptr, err error) {
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	result, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
	if e != 0 {
		return 0, fmt.Errorf("seccomp(2): %w", e)
	}
	return result, nil
}

// Where struct seccomp_data (linux/seccomp.h) has the number, and the arguments.
const (
	offsetNumber    = 0
	offsetArguments = 16
)

// Program answers the call with action, and leaves others to what follows.
func (c Call) Program(action uint32) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unlessEqual := func(value uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: skip}
	}
	answer := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	if c.Argument < 0 {
		return []unix.SockFilter{load(offsetNumber), unlessEqual(uint32(c.Number), 1), answer}
	}
	lower := uint32(offsetArguments + 8*c.Argument)
	if cpu.IsBigEndian {
		lower += 4
	}
	return []unix.SockFilter{load(offsetNumber), unlessEqual(uint32(c.Number), 3), load(lower), unlessEqual(c.Value, 1), answer}
}
