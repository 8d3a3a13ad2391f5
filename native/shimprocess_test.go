//go:build shims && linux && amd64

package native

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// These tests run the shims for the process at the other end on the same fake kernel.

func failed(err error) list { return list{Count: 7, Bytes: "-", Err: err} }

// oneWord is what a shim hands out for an int.
func oneWord(value int32, err error) list {
	if err != nil {
		return failed(err)
	}
	return handedOut([]uint32{uint32(value)}, nil)
}

func (s *runningShim) compareList(t *testing.T, what string, q listQuestion, want list) {
	t.Helper()
	if diff := cmp.Diff(want, s.askList(t, q), equalErrors); diff != "" {
		t.Errorf("%s, %v (-want +shim):\n%s", what, q, diff)
	}
}

func TestShimsOpenProcess(t *testing.T) {
	s := shimNamed(t, "linux")
	for _, written := range [][]byte{nil, words(5), words(0), words(noID), words(1 << 31), {5}, {5, 0, 0}} {
		for _, length := range []int{0, 3, 4, 5, 8, -1} {
			process := int32(-1)
			copy(bytesOf(&process), written)
			want := oneWord(process, checkPidfd(process, uint32(length)))
			s.compareList(t, "an answer", listQuestion{fact: 'o', first: says(written, length)}, want)
		}
	}
	for errno, want := range map[unix.Errno]error{
		unix.ENODATA: unix.ENOTCONN, unix.EINVAL: unix.ESRCH, unix.ESRCH: unix.ESRCH, unix.ENOPROTOOPT: unix.ENOPROTOOPT,
		unix.EBADF: unix.EBADF, unix.EMFILE: unix.EMFILE, unix.EPERM: unix.EPERM, unix.ERANGE: unix.ERANGE,
	} {
		s.compareList(t, "an error", listQuestion{fact: 'o', first: reply{errno: int(errno), length: 4}}, failed(want))
	}
	for _, command := range []uint32{unix.F_GETFL, unix.F_SETFL} {
		s.compareList(t, "a pidfd that stays blocking", listQuestion{fact: 'o', first: says(words(5), 4), second: reply{errno: int(unix.EINVAL), length: command}}, failed(unix.EINVAL))
	}
}

func TestShimsProcessExited(t *testing.T) {
	s := shimNamed(t, "linux")
	polled := func(n int, events int16) reply { return says([]byte{byte(events), byte(events >> 8)}, n) }
	want := func(n int, events int16) list {
		exited, err := decodePoll(n, events)
		if exited {
			return oneWord(1, err)
		}
		return oneWord(0, err)
	}
	for _, n := range []int{0, 1, 2} {
		for _, events := range []int16{0, unix.POLLIN, unix.POLLHUP, unix.POLLIN | unix.POLLHUP, unix.POLLERR, unix.POLLIN | unix.POLLERR, unix.POLLNVAL} {
			s.compareList(t, "an answer", listQuestion{fact: 'e', first: polled(n, events)}, want(n, events))
			s.compareList(t, "an answer after a signal", listQuestion{fact: 'e', first: reply{errno: int(unix.EINTR)}, second: polled(n, events)}, want(n, events))
		}
	}
	s.compareList(t, "an error", listQuestion{fact: 'e', first: reply{errno: int(unix.ENOMEM)}}, failed(unix.ENOMEM))
}

// infoSize is PIDFD_INFO_SIZE_VER0.
const infoSize = 64

// goodInfo is pid 4242, and ids from 1000 on in the order of the C structure.
func goodInfo() []byte {
	b := answer(infoSize, write{0, unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS}, write{20, 4242})
	for i := range 8 {
		copy(b[28+4*i:], words(1000+uint32(i)))
	}
	return b
}

// compareInfo compares pid and ids with native's decision on what the kernel wrote over the
// poison.
func (s *runningShim) compareInfo(t *testing.T, what string, written []byte) {
	t.Helper()
	pid := poisonedPidfdInfo(unix.PIDFD_INFO_PID)
	copy(bytesOf(&pid), written)
	s.compareList(t, what, listQuestion{fact: 'p', first: says(written, 0)}, oneWord(decodeInfoPID(&pid)))
	creds := poisonedPidfdInfo(unix.PIDFD_INFO_CREDS)
	copy(bytesOf(&creds), written)
	ids, err := decodeInfoIDs(&creds)
	s.compareList(t, what, listQuestion{fact: 'i', first: says(written, 0)}, handedOut(ids[:], err))
}

func TestShimsProcessInfo(t *testing.T) {
	s := shimNamed(t, "linux")
	good := goodInfo()
	s.compareList(t, "a pid", listQuestion{fact: 'p', first: says(good, 0)}, oneWord(4242, nil))
	s.compareList(t, "ids", listQuestion{fact: 'i', first: says(good, 0)},
		handedOut([]uint32{1000, 1002, 1004, 1006, 1001, 1003, 1005, 1007}, nil))
	for written := range infoSize {
		s.compareInfo(t, fmt.Sprintf("%d bytes written", written), good[:written])
		s.compareInfo(t, fmt.Sprintf("%d zeroes written", written), make([]byte, written))
	}
	for _, pid := range []uint32{1, 1<<31 - 1} {
		s.compareList(t, "a pid at the end", listQuestion{fact: 'p', first: says(append(goodInfo()[:20], words(pid)...), 0)}, oneWord(int32(pid), nil))
	}
	for _, pid := range []uint32{0, 1 << 31, noID} {
		malformed := append(goodInfo()[:20], words(pid)...)
		s.compareList(t, "a pid of no process", listQuestion{fact: 'p', first: says(malformed, 0)}, failed(unix.EPROTO))
	}
	for _, unwritten := range []int{0, 20} {
		s.compareList(t, "no pid written", listQuestion{fact: 'p', first: says(good[:unwritten], 0)}, failed(unix.EPROTO))
	}
	for _, unwritten := range []int{0, 28, 56} {
		s.compareList(t, "no ids written", listQuestion{fact: 'i', first: says(good[:unwritten], 0)}, failed(unix.EPROTO))
	}
	random := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		changed := goodInfo()
		copy(changed[4*random.IntN(infoSize/4):], words([]uint32{0, 1, 2, 4, 1 << 31, noID}[random.IntN(6)]))
		s.compareInfo(t, "a word changed", changed)
	}
	for _, errno := range []unix.Errno{unix.ESRCH, unix.ENOTTY, unix.EINVAL, unix.EBADF, unix.EPERM} {
		for _, fact := range []byte("pi") {
			s.compareList(t, "an error", listQuestion{fact: fact, first: reply{errno: int(errno)}}, failed(errno))
		}
	}
	invisible := reply{errno: int(unix.EREMOTE)}
	s.compareList(t, "a pid of another namespace", listQuestion{fact: 'p', first: invisible}, oneWord(0, nil))
	s.compareList(t, "ids in another namespace", listQuestion{fact: 'i', first: invisible}, failed(unix.EREMOTE))
}

func TestShimsSinceBoot(t *testing.T) {
	s := shimNamed(t, "linux")
	long := func(value int64) []byte { return words(uint32(value), uint32(value>>32)) }
	for _, seconds := range []int64{-1 << 63, -1, 0, 434, 9223372035, 9223372036, 9223372037, 1<<63 - 1} {
		for _, nanoseconds := range []int64{-1 << 63, -1, 0, 1, 999_999_999, 1_000_000_000, 1<<63 - 1} {
			now, err := decodeClock(seconds, nanoseconds)
			want := handedOut([]uint32{uint32(now), uint32(now >> 32)}, err)
			both := append(long(seconds), long(nanoseconds)...)
			s.compareList(t, fmt.Sprintf("%d s and %d ns", seconds, nanoseconds), listQuestion{fact: 'b', first: says(both, 0)}, want)
		}
		s.compareList(t, "seconds alone", listQuestion{fact: 'b', first: says(long(seconds), 0)}, failed(unix.EPROTO))
	}
	s.compareList(t, "success without a write", listQuestion{fact: 'b', first: says(nil, 0)}, failed(unix.EPROTO))
	s.compareList(t, "an error", listQuestion{fact: 'b', first: reply{errno: int(unix.EINVAL)}}, failed(unix.EINVAL))
}
