package native

import (
	"math"
	"testing"
	"time"

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

func TestDecodeClock(t *testing.T) {
	const longest = math.MaxInt64 / int64(time.Second)
	for _, test := range []struct {
		seconds, nanoseconds int64
		want                 time.Duration
		err                  error
	}{
		{0, 0, 0, nil},
		{434, 999_999_999, 435*time.Second - 1, nil},
		{longest - 1, 999_999_999, time.Duration(longest)*time.Second - 1, nil},
		{longest, 0, 0, unix.EPROTO},
		{-1, 0, 0, unix.EPROTO}, // not written
		{0, -1, 0, unix.EPROTO},
		{0, 1_000_000_000, 0, unix.EPROTO},
	} {
		if got, err := decodeClock(test.seconds, test.nanoseconds); got != test.want || err != test.err {
			t.Errorf("%d s and %d ns: %v, %v, want %v, %v", test.seconds, test.nanoseconds, got, err, test.want, test.err)
		}
	}
}

func TestCheckPidfd(t *testing.T) {
	for _, test := range []struct {
		process int32
		length  uint32
		want    error
	}{
		{0, 4, nil}, {5, 4, nil},
		{-1, 4, unix.EPROTO}, {5, 0, unix.EPROTO}, {5, 8, unix.EPROTO},
	} {
		if err := checkPidfd(test.process, test.length); err != test.want {
			t.Errorf("descriptor %d in %d bytes: %v, want %v", test.process, test.length, err, test.want)
		}
	}
}

// told is what a kernel that answers mask says of pid 1, with uids 1 to 4 and gids 5 to 8.
func told(mask uint64) unix.PidfdInfo {
	return unix.PidfdInfo{
		Mask: mask, Tgid: 1,
		Ruid: 1, Euid: 2, Suid: 3, Fsuid: 4, Rgid: 5, Egid: 6, Sgid: 7, Fsgid: 8,
	}
}

func TestDecodeInfo(t *testing.T) {
	const both = unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS
	info := told(both)
	if pid, err := decodeInfoPID(&info); pid != 1 || err != nil {
		t.Errorf("the pid is %d, %v, want 1", pid, err)
	}
	if ids, err := decodeInfoIDs(&info); ids != [8]uint32{1, 2, 3, 4, 5, 6, 7, 8} || err != nil {
		t.Errorf("the ids are %v, %v", ids, err)
	}
	for _, tgid := range []uint32{0, 1 << 31, noID} {
		info.Tgid = tgid
		if pid, err := decodeInfoPID(&info); pid != 0 || err != unix.EPROTO {
			t.Errorf("pid %d: %d, %v, want EPROTO", int32(tgid), pid, err)
		}
	}
	info = told(both &^ unix.PIDFD_INFO_PID)
	if pid, err := decodeInfoPID(&info); pid != 0 || err != unix.EPROTO {
		t.Errorf("no pid told: %d, %v, want EPROTO", pid, err)
	}
	info = told(both &^ unix.PIDFD_INFO_CREDS)
	if ids, err := decodeInfoIDs(&info); ids != [8]uint32{} || err != unix.EPROTO {
		t.Errorf("no ids told: %v, %v, want EPROTO", ids, err)
	}
	info = told(both)
	info.Fsgid = noID
	if ids, err := decodeInfoIDs(&info); ids != [8]uint32{} || err != unix.EPROTO {
		t.Errorf("one id not told: %v, %v, want EPROTO", ids, err)
	}
}

// Each id and pid that the kernel did not write is an error.
func TestPoisonedPidfdInfo(t *testing.T) {
	info := poisonedPidfdInfo(unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS)
	if pid, err := decodeInfoPID(&info); pid != 0 || err != unix.EPROTO {
		t.Errorf("no pid written: %d, %v, want EPROTO", pid, err)
	}
	ids := []*uint32{&info.Ruid, &info.Euid, &info.Suid, &info.Fsuid, &info.Rgid, &info.Egid, &info.Sgid, &info.Fsgid}
	for n, unwritten := range ids {
		info = poisonedPidfdInfo(unix.PIDFD_INFO_CREDS)
		for _, id := range ids {
			if id != unwritten {
				*id = 1
			}
		}
		if got, err := decodeInfoIDs(&info); got != [8]uint32{} || err != unix.EPROTO {
			t.Errorf("id %d not written: %v, %v, want EPROTO", n, got, err)
		}
	}
}

// A descriptor that is no pidfd is an error, and every value is zero.
func TestProcessErrors(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for _, pidfd := range []int{-1, 1 << 30, null} {
		if fd, err := OpenProcess(pidfd); fd != -1 || err == nil {
			t.Errorf("OpenProcess(%d) = %d, %v, want -1 and an error", pidfd, fd, err)
		}
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
