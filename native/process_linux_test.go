package native

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestDecodePoll(t *testing.T) {
	for _, test := range []struct {
		name   string
		n      int
		events int16
		exited bool
		err    error
	}{
		{"alive", 0, 0, false, nil},
		{"a zombie", 1, unix.POLLIN, true, nil},
		{"reaped", 1, unix.POLLIN | unix.POLLHUP, true, nil},
		{"no descriptor", 1, unix.POLLNVAL, false, unix.EBADF},
		{"an error", 1, unix.POLLERR, false, unix.EPROTO},
		{"an event that is not counted", 0, unix.POLLIN, false, unix.EPROTO},
		{"a count without an event", 1, 0, false, unix.EPROTO},
		{"a count of what was not asked", 2, 0, false, unix.EPROTO},
		{"an event beside what was not asked", 2, unix.POLLIN, false, unix.EPROTO},
		{"no descriptor, uncounted", 0, unix.POLLNVAL, false, unix.EBADF},
		{"an error beside the end", 1, unix.POLLIN | unix.POLLERR, false, unix.EPROTO},
	} {
		if exited, err := decodePoll(test.n, test.events); exited != test.exited || err != test.err {
			t.Errorf("%s: %v, %v, want %v, %v", test.name, exited, err, test.exited, test.err)
		}
	}
}

// What is no pidfd has no process, and every value is zero.
func TestProcessErrors(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for _, pidfd := range []int{-1, 1 << 30, null} {
		if pid, err := ProcessPID(pidfd); pid != 0 || err == nil {
			t.Errorf("ProcessPID(%d) = %d, %v, want an error", pidfd, pid, err)
		}
		if ids, err := ProcessIDs(pidfd); ids != [8]uint32{} || err == nil {
			t.Errorf("ProcessIDs(%d) = %v, %v, want an error", pidfd, ids, err)
		}
		if err := SignalProcess(pidfd, nil); err != unix.EBADF {
			t.Errorf("SignalProcess(%d) = %v, want EBADF", pidfd, err)
		}
	}
	for _, pidfd := range []int{-1, 1 << 30} {
		if exited, err := ProcessExited(pidfd); exited || err != unix.EBADF {
			t.Errorf("ProcessExited(%d) = %v, %v, want EBADF", pidfd, exited, err)
		}
	}
}
