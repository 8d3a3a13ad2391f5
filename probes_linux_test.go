//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// Some questions open descriptors: sockets to check the kernel with, and pidfds. None stays
// open if the question fails, and no child inherits one.

// probe is a question to an implementation that opens descriptors.
type probe struct {
	opens int // so many
	ask   func(i implementation, stream, packet int) error
}

var probes = map[string]probe{
	"AnswersForCaller": {1, func(i implementation, _, _ int) error {
		_, err := i.answersForCaller()
		return err
	}},
	"CheckCanHavePeer": {2, func(i implementation, _, packet int) error {
		return i.checkCanHavePeer(packet)
	}},
	"OnSocketpair": {2, func(i implementation, _, _ int) error {
		return i.onSocketpair(func(int) {})
	}},
	"OpenProcess": {1, func(i implementation, stream, _ int) error {
		return openAndClose(i, stream)
	}},
}

// probed is the result of a probe.
type probed struct {
	Err       string
	Left      int // descriptors that are open and were not before
	Inherited int // those of them that a child would inherit
}

// helperProbe calls Function of Implementation. Meanwhile the kernel answers Calls with the
// only one of Errnos. If Count is not 0, only Count descriptors can be opened.
func helperProbe(r role) error {
	n := slices.IndexFunc(implementations, func(i implementation) bool { return i.name == r.Implementation })
	stream, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	packet, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return err
	}
	if r.Count > 0 {
		if err := leaveDescriptors(r.Count); err != nil {
			return err
		}
	}
	before := descriptorsOpen()
	if len(r.Calls) > 0 {
		if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
			return err
		}
	}
	got := probed{Err: errString(probes[r.Function].ask(implementations[n], stream[0], packet[0]))}
	for _, fd := range opened(before) {
		got.Left++
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			got.Inherited++
		}
	}
	return reexec.Report(got)
}

// mostDescriptors is more than a helper has open.
const mostDescriptors = 256

// descriptorsOpen asks for each by fstat(2), which no test forges.
func descriptorsOpen() (open []int) {
	var stat unix.Stat_t
	for fd := range mostDescriptors {
		if unix.Fstat(fd, &stat) == nil {
			open = append(open, fd)
		}
	}
	return open
}

// opened returns the descriptors that are open now and were not before.
func opened(before []int) []int {
	return slices.DeleteFunc(descriptorsOpen(), func(fd int) bool { return slices.Contains(before, fd) })
}

// leaveDescriptors limits this process to n more descriptors.
func leaveDescriptors(n int) error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: mostDescriptors, Max: mostDescriptors}); err != nil {
		return err
	}
	var taken []int
	for {
		fd, err := unix.Dup(0)
		switch {
		case errors.Is(err, unix.EMFILE) && len(taken) >= n:
			for _, fd := range taken[:n] {
				unix.Close(fd)
			}
			return nil
		case err != nil:
			return fmt.Errorf("dup: %w", err)
		}
		taken = append(taken, fd)
	}
}

func tryProbe(t *testing.T, r role) (got probed) {
	t.Helper()
	if r.Function == "OpenProcess" {
		needPidfd(t)
	}
	helper := start(t, r)
	helper.Decode(&got)
	helper.Finish()
	return got
}

func TestProbesLeaveNothingOpen(t *testing.T) {
	seccomp.Need(t)
	if os.Getenv(kernelVariable) != "" || os.Getenv(packetEndsVariable) != "" {
		t.Skip("needs a kernel that passes the probes")
	}
	call := func(number uintptr) []seccomp.Call { return []seccomp.Call{seccomp.Any(number)} }
	credentials := []seccomp.Call{seccomp.Option(unix.SO_PEERCRED)}
	for _, i := range implementations {
		for _, test := range []struct {
			name, probe string
			calls       []seccomp.Call
			errno       syscall.Errno
			descriptors int // that can be opened, as many as it likes if 0
			err         string
		}{
			{"nothing fails", "AnswersForCaller", nil, 0, 0, ""},
			{"SO_PEERCRED fails", "AnswersForCaller", credentials, unix.EPERM, 0, "operation not permitted"},
			{"nothing fails", "CheckCanHavePeer", nil, 0, 0, ""},
			{"the second socket fails", "CheckCanHavePeer", nil, 0, 1, "too many open files"},
			{"bind fails", "CheckCanHavePeer", call(unix.SYS_BIND), unix.EACCES, 0, "permission denied"},
			{"getsockname fails", "CheckCanHavePeer", call(unix.SYS_GETSOCKNAME), unix.ENOBUFS, 0, "no buffer space available"},
			{"connect fails", "CheckCanHavePeer", call(unix.SYS_CONNECT), unix.EPERM, 0, "operation not permitted"},
			{"connect does nothing", "CheckCanHavePeer", call(unix.SYS_CONNECT), 0, 0, "protocol error"},
			{"SO_PEERCRED fails", "CheckCanHavePeer", credentials, unix.EPERM, 0, "operation not permitted"},
			{"nothing fails", "OnSocketpair", nil, 0, 0, ""},
			{"nothing fails", "OpenProcess", nil, 0, 0, ""},
			{"fcntl fails", "OpenProcess", call(unix.SYS_FCNTL), unix.EPERM, 0, "operation not permitted"},
		} {
			t.Run(i.name+"/"+test.probe+"/"+test.name, func(t *testing.T) {
				got := tryProbe(t, role{
					Do: "probe", Implementation: i.name, Function: test.probe,
					Calls: test.calls, Errnos: []syscall.Errno{test.errno}, Count: test.descriptors,
				})
				if got.Err != test.err || got.Left != 0 {
					t.Errorf("error %q, and %d descriptors more are open, want %q and none", got.Err, got.Left, test.err)
				}
			})
		}
	}
}

// While close(2) does nothing, the descriptors of the probes stay open and can be checked.
func TestProbesAreNotInherited(t *testing.T) {
	seccomp.Need(t)
	for _, i := range implementations {
		for name, probe := range probes {
			t.Run(i.name+"/"+name, func(t *testing.T) {
				got := tryProbe(t, role{
					Do: "probe", Implementation: i.name, Function: name,
					Calls: []seccomp.Call{seccomp.Any(unix.SYS_CLOSE)}, Errnos: []syscall.Errno{0},
				})
				if diff := cmp.Diff(probed{Left: probe.opens}, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A pidfd becomes non-blocking and keeps its other flags. Here every fcntl(2) returns
// O_APPEND as the flags.
func TestPidfdKeepsItsFlags(t *testing.T) {
	seccomp.NeedNotification(t)
	needPidfd(t)
	needOwnCalls(t)
	for _, i := range implementations {
		t.Run(i.name, func(t *testing.T) {
			trace := filepath.Join(t.TempDir(), "trace")
			r := role{Do: "probe", Implementation: i.name, Function: "OpenProcess"}
			r.Answer = &callAnswer{Numbers: []uintptr{unix.SYS_FCNTL}, Result: unix.O_RDWR | unix.O_APPEND}
			cmd := straced(t, r, "-o", trace, "-e", "trace=fcntl,?fcntl64")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, out)
			}
			text, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "F_SETFL, O_RDWR|O_APPEND|O_NONBLOCK") {
				t.Errorf("F_SETFL was not given the flags that F_GETFL told, and O_NONBLOCK:\n%s", text)
			}
		})
	}
}

// A signal is for the process. With a flag it could be for a thread alone, since Linux 6.9.
func TestSignalHasNoFlags(t *testing.T) {
	needPidfd(t)
	needOwnCalls(t)
	trace := filepath.Join(t.TempDir(), "trace")
	r := role{Do: "ask one", Function: "Signal", Address: listen(t, "unix").Addr().String()}
	cmd := straced(t, r, "-o", trace, "-e", "trace=pidfd_send_signal")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls, without := strings.Count(string(text), "pidfd_send_signal("), strings.Count(string(text), ", NULL, 0) = 0")
	if calls == 0 || calls != without {
		t.Errorf("%d calls, and %d of them without a flag:\n%s", calls, without, text)
	}
}
