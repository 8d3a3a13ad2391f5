//go:build cgo && unix

package cpeercred

import (
	"math"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// On an error every value is zero, and the errno is bare.
func TestErrors(t *testing.T) {
	for _, fd := range []int{-1, math.MinInt, math.MaxInt, math.MaxInt32} {
		if pid, uid, gid, err := Credentials(fd); pid != 0 || uid != 0 || gid != 0 || err != syscall.EBADF {
			t.Errorf("Credentials(%d) = %d, %d, %d, %v, want zeroes and EBADF", fd, pid, uid, gid, err)
		}
		if kind, err := Kind(fd); kind != "" || err != syscall.EBADF {
			t.Errorf("Kind(%d) = %q, %v, want EBADF", fd, kind, err)
		}
		if listens, err := Listens(fd); listens || err != syscall.EBADF {
			t.Errorf("Listens(%d) = %v, %v, want EBADF", fd, listens, err)
		}
		if err := CheckCanHavePeer(fd); err != syscall.EBADF {
			t.Errorf("CheckCanHavePeer(%d) = %v, want EBADF", fd, err)
		}
	}
}

func TestSocketpair(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("%s has no peer for a socketpair, or may have none", runtime.GOOS)
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	pid, uid, gid, err := Credentials(fds[0])
	if err != nil || int(pid) != os.Getpid() || int(uid) != os.Geteuid() || int(gid) != os.Getegid() {
		t.Errorf("Credentials = %d, %d, %d, %v, want this process", pid, uid, gid, err)
	}
	if kind, err := Kind(fds[0]); kind != "Unix" || err != nil {
		t.Errorf("Kind = %q, %v, want Unix", kind, err)
	}
	if err := CheckCanHavePeer(fds[0]); err != nil {
		t.Errorf("CheckCanHavePeer = %v, want nil", err)
	}
}

func TestKernelDoesNotAnswerForCaller(t *testing.T) {
	if wrong, err := AnswersForCaller(); wrong || err != nil {
		t.Errorf("AnswersForCaller() = %v, %v, want false", wrong, err)
	}
}

// Only NetBSD's shim chooses this errno itself; elsewhere it is the kernel's.
func TestErrnoOfNetBSD(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.ENOTCONN} {
		bare := runtime.GOOS != "netbsd" || errno != syscall.EOPNOTSUPP
		if err := credentialsError(errno); (err == error(errno)) != bare {
			t.Errorf("credentialsError(%v) = %v, want it bare: %v", errno, err, bare)
		}
	}
}

func TestUntold(t *testing.T) {
	for fact, want := range map[string]string{
		ids:      "the system does not report the uid and gid of a socket's peer",
		"groups": "the system does not report the groups of a socket's peer",
		owner:    "the system does not report the uid of a loopback TCP peer",
		handle:   "the system has no handle on the process of a socket's peer",
	} {
		if got := untold(fact).Error(); got != want {
			t.Errorf("%s: %q, want %q", fact, got, want)
		}
	}
}
