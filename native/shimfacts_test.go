//go:build shims && linux && amd64

package native

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// These tests run the shims for groups, label and audit token on the same fake kernel as
// those for credentials.

// listQuestion is a call of one of them, and all answers of the kernel.
type listQuestion struct {
	fact     byte // as in ask.c
	capacity int
	aSocket
	first, second, third, fourth reply
}

func (q listQuestion) String() string {
	return fmt.Sprintf("%c %d %v %v %v %v %v", q.fact, q.capacity, q.aSocket, q.first, q.second, q.third, q.fourth)
}

// list is what a shim handed out.
type list struct {
	Count int
	Bytes string
	Err   error
}

// asked has the required level and option of each fact, and for an ioctl its command.
var asked = map[string][2]int{
	"linux g": {1, 59}, "linux l": {1, 31}, "linux o": {1, 77}, "linux e": {0, 0},
	"linux k": {1, unix.SO_DOMAIN}, "linux f": {1, unix.SO_DOMAIN}, "linux h": {1, unix.SO_TYPE}, "linux a": {1, unix.SO_PEERCRED},
	"linux b": {0, unix.CLOCK_BOOTTIME},
	"linux p": {0, pidfdGetInfo}, "linux i": {0, pidfdGetInfo},
	"darwin g": {0, 1}, "freebsd g": {0, 1}, "dragonfly g": {0, 1}, "solaris g": {0, 0},
	"darwin t": {0, 6}, "openbsd h": {0xffff, 2}, "netbsd a": {0, 3},
}

// pidfdGetInfo is PIDFD_GET_INFO with the size of the structure's first version.
const pidfdGetInfo = 0xc040ff0b - 1<<32

func (s *runningShim) askList(t testing.TB, q listQuestion) (got list) {
	t.Helper()
	fmt.Fprintln(s.in, q)
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s died on %v: %v", s.name, q, err)
	}
	var errno, level, option, closed int
	if _, err := fmt.Sscan(line, &errno, &got.Count, &level, &option, &closed, &got.Bytes); err != nil {
		t.Fatalf("%s said %q: %v", s.name, line, err)
	}
	if errno == -99 {
		t.Errorf("%s, %v: the shim wrote past its room", s.name, q)
	}
	want := asked[fmt.Sprintf("%s %c", s.name, q.fact)]
	if q.aSocket == (aSocket{}) && q.first.errno == 0 && want != [2]int{level, option} {
		t.Errorf("%s asked for option %#x at level %#x, want %#x", s.name, option, level, want)
	}
	wantClosed := -1
	if q.fact == 'o' && q.second.errno != 0 { // the descriptor cannot be made non-blocking
		wantClosed = int(word(q.first.bytes, 0))
	}
	if q.fact == 'a' || q.fact == 'h' && bytes.Equal(q.first.bytes, words(unix.SOCK_SEQPACKET)) { // the socket that it made
		wantClosed = max(closed, 3)
	}
	if q.fact == 'u' { // kept for the next question, unless the kernel does not answer
		wantClosed = closed
	}
	if q.fact == 'm' { // fake descriptors are counted
		wantClosed = closed
	}
	if closed != wantClosed {
		t.Errorf("%s, %v: closed %d, want %d", s.name, q, closed, wantClosed)
	}
	switch {
	case errno == s.proto:
		got.Err = unix.EPROTO
	case errno != 0:
		got.Err = syscall.Errno(errno)
	}
	return got
}

// handedOut is what a shim hands out for groups, or for the words of a token.
func handedOut(words []uint32, err error) list {
	if err != nil {
		return list{Count: 7, Bytes: "-", Err: err}
	}
	return list{Count: len(words), Bytes: hexOf(words)}
}

func hexOf(words []uint32) string {
	if len(words) == 0 {
		return "-"
	}
	b := make([]byte, 4*len(words))
	for i, w := range words {
		copy(b[4*i:], answer(4, write{0, w}))
	}
	return hex.EncodeToString(b)
}

func shimNamed(t testing.TB, name string) *runningShim {
	t.Helper()
	for _, s := range shims {
		if s.name == name {
			return run(t, s)
		}
	}
	t.Fatalf("no shim %q", name)
	return nil
}

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = append(b, answer(4, write{0, v})...)
	}
	return b
}

func says(bytes []byte, length int) reply { return reply{length: uint32(length), bytes: bytes} }

func TestShimsGroupsOnLinux(t *testing.T) {
	s := shimNamed(t, "linux")
	malformed := list{Count: 7, Bytes: "-", Err: unix.EPROTO}
	for _, test := range []struct {
		name  string
		reply reply
		want  list
	}{
		{"none", says(nil, 0), handedOut(nil, nil)},
		{"some", says(words(7, 0, 4294967294), 12), handedOut([]uint32{7, 0, 4294967294}, nil)},
		{"success without a write", says(nil, 16), malformed},
		{"one unwritten", says(words(7), 8), malformed},
		{"half a group", says(words(7, 8), 6), malformed},
		{"more than there is room", says(words(7, 8, 9, 10), 20), malformed},
		{"too many", reply{errno: int(unix.ERANGE), length: 400}, list{Count: 100, Bytes: "-", Err: unix.ERANGE}},
		{"no peer", reply{errno: int(unix.ENODATA)}, list{Count: 7, Bytes: "-", Err: unix.ENOTCONN}},
		{"refused", reply{errno: int(unix.EPERM)}, list{Count: 7, Bytes: "-", Err: unix.EPERM}},
		{"an older kernel", reply{errno: int(unix.ENOPROTOOPT)}, list{Count: 7, Bytes: "-", Err: unix.ENOPROTOOPT}},
	} {
		got := s.askList(t, listQuestion{fact: 'g', capacity: 4, first: test.reply})
		if diff := cmp.Diff(test.want, got, equalErrors); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if test.reply.errno != 0 {
			continue
		}
		buffer := make([]uint32, 4)
		poisonIDs(buffer)
		for i := 0; i+4 <= len(test.reply.bytes); i += 4 {
			buffer[i/4] = word(test.reply.bytes, i)
		}
		if diff := cmp.Diff(handedOut(decodeGroups(buffer, test.reply.length)), got, equalErrors); diff != "" {
			t.Errorf("%s (-native +shim):\n%s", test.name, diff)
		}
	}
}

// The xucred of these systems, and native's decision on the same bytes.
func TestShimsGroupsOfXucred(t *testing.T) {
	for _, name := range []string{"darwin", "freebsd", "dragonfly"} {
		s := shimNamed(t, name)
		for _, n := range []int16{-1, 0, 1, 2, 15, 16, 17} {
			for _, unwritten := range []int{-1, 12, 16, 72} {
				buffer := ngroups(answer(s.size, write{4, 501}), n)
				for i := range 16 {
					copy(buffer[12+4*i:], words(uint32(100+i)))
				}
				if unwritten >= 0 {
					copy(buffer[unwritten:], words(noID))
				}
				want := handedOut(overlay[xucred](buffer[:76]).supplementaryGroups())
				got := s.askList(t, listQuestion{fact: 'g', capacity: 32, first: says(buffer, s.size)})
				if diff := cmp.Diff(want, got, equalErrors); diff != "" {
					t.Errorf("%s, %d groups, -1 at %d (-native +shim):\n%s", name, n, unwritten, diff)
				}
			}
		}
		good := listQuestion{fact: 'g', capacity: 32, first: says(ngroups(goodBuffer(s.shim), 2), s.size)}
		for what, change := range map[string]func(*listQuestion){
			"the family is another":   func(q *listQuestion) { q.familyErrno = 47 },
			"the call fails":          func(q *listQuestion) { q.first = reply{errno: 57} },
			"success without a write": func(q *listQuestion) { q.first = says(nil, s.size) },
			"cut short":               func(q *listQuestion) { q.first.length = 12 },
			"less room":               func(q *listQuestion) { q.capacity = 0 },
		} {
			q := good
			change(&q)
			if got := s.askList(t, q); got.Err == nil || got.Bytes != "-" {
				t.Errorf("%s, %s: %+v, want an error", name, what, got)
			}
		}
		for n := range int16(15) {
			buffer := ngroups(goodBuffer(s.shim), n+1)
			copy(buffer[16:], words(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
			want := handedOut([]uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}[:n], nil)
			s.compareList(t, "just enough room", listQuestion{fact: 'g', capacity: int(n), first: says(buffer, s.size)}, want)
		}
	}
}

func TestShimsGroupsOnSolaris(t *testing.T) {
	s := shimNamed(t, "solaris")
	cred := says(goodBuffer(s.shim), 12)
	malformed := list{Count: 7, Bytes: "-", Err: unix.EPROTO}
	for _, test := range []struct {
		name string
		q    listQuestion
		want list
	}{
		{"none", listQuestion{first: cred, second: says(nil, 0)}, handedOut(nil, nil)},
		{"some", listQuestion{first: cred, second: says(words(7, 0), 2)}, handedOut([]uint32{7, 0}, nil)},
		{"not in this ucred", listQuestion{first: cred, second: says(nil, -1)}, malformed},
		{"counted, and none there", listQuestion{first: cred, second: says(nil, 2)}, malformed},
		{"as many as there is room for", listQuestion{first: cred, second: says(words(1, 2, 3, 4), 4)}, handedOut([]uint32{1, 2, 3, 4}, nil)},
		{"no ucred", listQuestion{first: says(nil, 12), second: says(words(7, 0), 2)}, malformed},
		{"-1", listQuestion{first: cred, second: says(words(7, noID), 2)}, malformed},
		{"too many", listQuestion{first: cred, second: says(words(1, 2, 3, 4, 5), 5)}, list{Count: 5, Bytes: "-", Err: unix.ERANGE}},
		{"the family is another", listQuestion{aSocket: aSocket{familyErrno: 124}, first: cred}, list{Count: 7, Bytes: "-", Err: syscall.Errno(124)}},
		{"the call fails", listQuestion{first: reply{errno: 1}}, list{Count: 7, Bytes: "-", Err: syscall.Errno(1)}},
	} {
		test.q.fact, test.q.capacity = 'g', 4
		if diff := cmp.Diff(test.want, s.askList(t, test.q), equalErrors); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestShimsLabel(t *testing.T) {
	s := shimNamed(t, "linux")
	const capacity = 16
	for _, test := range []struct {
		bytes  string
		length int
	}{
		{"kernel\x00", 7}, {"unconfined", 10}, {"_", 1}, {"", 0}, {"\x00", 1}, {"", capacity}, {"a\x00b\x00", 4},
		{"kernel\x00\x00", 8}, {"kernel", capacity}, {"sixteen letters!", capacity}, {"sixteen letters!", capacity + 1},
	} {
		got := s.askList(t, listQuestion{fact: 'l', capacity: capacity, first: says([]byte(test.bytes), test.length)})
		buffer := make([]byte, capacity)
		copy(buffer, test.bytes)
		label, err := decodeLabel(buffer, uint32(test.length))
		want := list{Count: len(label), Bytes: hex.EncodeToString([]byte(label))}
		switch {
		case errors.Is(err, unix.EPROTO):
			want = list{Count: 7, Bytes: "-", Err: unix.EPROTO}
		case err != nil: // which the binding says of an empty one
			want = list{Bytes: "-"}
		}
		if diff := cmp.Diff(want, got, equalErrors); diff != "" {
			t.Errorf("%q, length %d (-native +shim):\n%s", test.bytes, test.length, diff)
		}
	}
	for errno, count := range map[unix.Errno]int{unix.ERANGE: 300, unix.ENOPROTOOPT: 7, unix.EPERM: 7} {
		got := s.askList(t, listQuestion{fact: 'l', capacity: capacity, first: reply{errno: int(errno), length: 300}})
		if diff := cmp.Diff(list{Count: count, Bytes: "-", Err: errno}, got, equalErrors); diff != "" {
			t.Errorf("%v (-want +got):\n%s", errno, diff)
		}
	}
}

func TestShimsAuditToken(t *testing.T) {
	s := shimNamed(t, "darwin")
	good := auditToken{4294967295, 501, 20, 501, 20, 4711, 100005, 12}
	for _, change := range []func(*auditToken){
		func(*auditToken) {},
		func(t *auditToken) { t[1] = 0 },
		func(t *auditToken) { t[1] = noID },
		func(t *auditToken) { t[2] = noID },
		func(t *auditToken) { t[3] = noID },
		func(t *auditToken) { t[4] = noID },
		func(t *auditToken) { t[5] = 0 },
		func(t *auditToken) { t[5] = noID },
		func(t *auditToken) { t[5] = 1 },
		func(t *auditToken) { t[5] = 1<<31 - 1 },
		func(t *auditToken) { t[5] = 1 << 31 },
		func(t *auditToken) { t[6] = noID },
		func(t *auditToken) { t[7] = noID },
		func(t *auditToken) { *t = auditToken{} },
	} {
		token := good
		change(&token)
		for _, length := range []int{0, 28, 32, 36} {
			want := list{Count: 7, Bytes: "-", Err: unix.EPROTO}
			if told, err := token.decode(uint32(length)); err == nil {
				want = handedOut(told[:], nil)
			}
			got := s.askList(t, listQuestion{fact: 't', first: says(words(token[:]...), length)})
			if diff := cmp.Diff(want, got, equalErrors); diff != "" {
				t.Errorf("%v, length %d (-native +shim):\n%s", token, length, diff)
			}
		}
	}
	whole := says(words(good[:]...), 32)
	for _, test := range []struct {
		name string
		q    listQuestion
		want error
	}{
		{"success without a write", listQuestion{first: says(nil, 32)}, unix.EPROTO},
		{"the family is another", listQuestion{aSocket: aSocket{familyErrno: 47}, first: whole}, syscall.Errno(47)},
		{"the peer has closed", listQuestion{first: reply{errno: 57, length: 32}}, syscall.Errno(57)},
	} {
		test.q.fact = 't'
		s.compareList(t, test.name, test.q, failed(test.want))
	}
}
