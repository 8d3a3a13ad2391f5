//go:build unix

package native

import (
	"math"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// On an error every value is zero, and the errno is bare.
func TestErrors(t *testing.T) {
	for _, fd := range []int{-1, math.MinInt, math.MaxInt, math.MaxInt32} {
		if pid, uid, gid, err := Credentials(fd); pid != 0 || uid != 0 || gid != 0 || err != unix.EBADF {
			t.Errorf("Credentials(%d) = %d, %d, %d, %v, want zeroes and EBADF", fd, pid, uid, gid, err)
		}
		if kind, err := Kind(fd); kind != "" || err != unix.EBADF {
			t.Errorf("Kind(%d) = %q, %v, want EBADF", fd, kind, err)
		}
		if listens, err := Listens(fd); listens || err != unix.EBADF {
			t.Errorf("Listens(%d) = %v, %v, want EBADF", fd, listens, err)
		}
		if err := CheckCanHavePeer(fd); err != unix.EBADF {
			t.Errorf("CheckCanHavePeer(%d) = %v, want EBADF", fd, err)
		}
	}
}

func TestUnconnectedSocketHasNoPeer(t *testing.T) {
	fd, err := unconnectedSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the probe's socket has the flags %#x, %v, want close-on-exec", flags, err)
	}
	if pid, uid, gid, err := Credentials(fd); pid != 0 || uid != 0 || gid != 0 || !isNoPeer(err) {
		t.Errorf("Credentials = %d, %d, %d, %v, want zeroes and no peer", pid, uid, gid, err)
	}
	if wrong, err := AnswersForCaller(); wrong || err != nil {
		t.Errorf("AnswersForCaller() = %v, %v, want false", wrong, err)
	}
}

// NetBSD says EINVAL where all others say ENOTCONN.
func TestIsNoPeer(t *testing.T) {
	for err, want := range map[error]bool{unix.ENOTCONN: true, unix.EINVAL: runtime.GOOS == "netbsd", unix.EPERM: false, unix.EPROTO: false} {
		if got := isNoPeer(err); got != want {
			t.Errorf("isNoPeer(%v) = %v, want %v", err, got, want)
		}
	}
}

func TestInternetKind(t *testing.T) {
	for socketType, want := range map[int]string{
		unix.SOCK_STREAM: "TCP", unix.SOCK_DGRAM: "UDP", unix.SOCK_RAW: "unknown", unix.SOCK_SEQPACKET: "unknown", 0: "unknown",
	} {
		if got := internetKind(socketType); got != want {
			t.Errorf("type %d is %q, want %q", socketType, got, want)
		}
	}
}

// Linux does not use checkUnixFamily. It is tested here for the systems that do.
func TestCheckUnixFamily(t *testing.T) {
	socket := func(family, socketType int) int {
		t.Helper()
		fd, err := unix.Socket(family, socketType, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	file, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		name string
		fd   int
		want error
	}{
		{"a Unix socket", socket(unix.AF_UNIX, unix.SOCK_STREAM), nil},
		{"a TCP socket", socket(unix.AF_INET, unix.SOCK_STREAM), unix.EAFNOSUPPORT},
		{"a UDP socket", socket(unix.AF_INET, unix.SOCK_DGRAM), unix.EAFNOSUPPORT},
		{"a file", int(file.Fd()), unix.EAFNOSUPPORT},
		{"no descriptor", -1, unix.EBADF},
		{"a descriptor that is not open", math.MaxInt32, unix.EBADF},
	} {
		if err := (sockets{}).checkUnixFamily(test.fd); err != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}
