package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	diagFrom, diagTo   = netip.MustParseAddrPort("127.0.0.1:4242"), netip.MustParseAddrPort("127.0.0.2:80")
	diagFrom6, diagTo6 = netip.MustParseAddrPort("[::1]:4242"), netip.MustParseAddrPort("[::1]:80")
)

// diagMessage is what an honest kernel says to the question: a connected socket of uid 1000.
func diagMessage(q diagQuestion) []byte {
	a := diagAnswer{family: q.family, state: unix.BPF_TCP_ESTABLISHED, id: q.id, uid: 1000, inode: 7}
	a.NlMsghdr = unix.NlMsghdr{Len: 88, Type: unix.SOCK_DIAG_BY_FAMILY, Seq: q.Seq, Pid: 4711}
	a.id.device, a.id.cookie = 0, [2]uint32{1, 2}
	return bytes.Clone(bytesOf(&a))
}

// diagError is a whole message with an errno.
func diagError(q diagQuestion, errno int32) []byte {
	b := diagMessage(q)[:36]
	put32(0, 36)(b)
	put16(4, unix.NLMSG_ERROR)(b)
	put32(16, uint32(errno))(b)
	return b
}

func put8(at int, value byte) func([]byte) { return func(b []byte) { b[at] = value } }
func put16(at int, value uint16) func([]byte) {
	return func(b []byte) { binary.NativeEndian.PutUint16(b[at:], value) }
}
func put32(at int, value uint32) func([]byte) {
	return func(b []byte) { binary.NativeEndian.PutUint32(b[at:], value) }
}

// Where the fields of an answer are, by the headers of Linux.
const (
	atLen, atType, atFlags, atSeq       = 0, 4, 6, 8
	atFamily, atState, atSport, atDport = 16, 17, 20, 22
	atSrc, atDst, atUID, atInode        = 24, 40, 80, 84
	diagSize, diagErrorSize             = 88, 20
)

// diagTests are messages and what they must mean. The tests of the C shim use them too.
type diagTest struct {
	name    string
	message func(q diagQuestion) []byte
	uid     uint32
	err     error
}

func diagTests() (tests []diagTest) {
	add := func(name string, uid uint32, err error, changes ...func([]byte)) {
		tests = append(tests, diagTest{name, func(q diagQuestion) []byte {
			b := diagMessage(q)
			for _, change := range changes {
				change(b)
			}
			return b
		}, uid, err})
	}
	whole := func(name string, err error, message func(q diagQuestion) []byte) {
		tests = append(tests, diagTest{name, message, 0, err})
	}
	add("a connected socket", 1000, nil)
	add("root's", 0, nil, put32(atUID, 0))
	add("the highest uid", noID-1, nil, put32(atUID, noID-1))
	add("a uid that no process has", 0, unix.EPROTO, put32(atUID, noID))
	add("no inode", 0, unix.EAGAIN, put32(atInode, 0), put32(atUID, 0))
	for state := range byte(14) {
		name := fmt.Sprintf("state %d", state)
		switch state {
		case unix.BPF_TCP_ESTABLISHED:
		case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
			add(name, 1000, nil, put8(atState, state))
			add(name+", no inode", 0, unix.ENOTCONN, put8(atState, state), put32(atInode, 0))
		case unix.BPF_TCP_SYN_RECV:
			add(name, 0, unix.EAGAIN, put8(atState, state))
		default:
			add(name, 0, unix.ENOTCONN, put8(atState, state))
		}
	}
	add("a listening socket", 0, unix.ENOTCONN, put8(atState, unix.BPF_TCP_LISTEN), put16(atDport, 0), put32(atDst, 0))
	add("another port", 0, unix.EPROTO, put16(atSport, 1))
	add("another port of ours", 0, unix.EPROTO, put16(atDport, 1))
	add("another address", 0, unix.EPROTO, put32(atSrc, 1))
	add("another address of ours", 0, unix.EPROTO, put32(atDst, 1))
	add("another family", 0, unix.EPROTO, put8(atFamily, unix.AF_UNIX))
	add("another question", 0, unix.EPROTO, put32(atSeq, 1<<31))
	add("one of many", 0, unix.EPROTO, put16(atFlags, unix.NLM_F_MULTI))
	add("interrupted", 0, unix.EPROTO, put16(atFlags, unix.NLM_F_DUMP_INTR))
	add("flags of no concern", 1000, nil, put16(atFlags, unix.NLM_F_REQUEST))
	add("the end of many", 0, unix.EPROTO, put16(atType, unix.NLMSG_DONE))
	add("nothing", 0, unix.EPROTO, put16(atType, unix.NLMSG_NOOP))
	add("the old type", 0, unix.EPROTO, put16(atType, 18)) // TCPDIAG_GETSOCK
	add("a length of less", 0, unix.EPROTO, put32(atLen, diagSize-4))
	add("a length of more", 0, unix.EPROTO, put32(atLen, diagSize+4))
	add("a length of nothing", 0, unix.EPROTO, put32(atLen, 0))
	for _, n := range []int{0, 4, 15, 16, 19, 20, 84, 87} {
		whole(fmt.Sprintf("%d bytes", n), unix.EPROTO, func(q diagQuestion) []byte { return diagMessage(q)[:n] })
		whole(fmt.Sprintf("%d bytes, and their length", n), unix.EPROTO, func(q diagQuestion) []byte {
			b := diagMessage(q)
			put32(atLen, uint32(n))(b)
			return b[:n]
		})
	}
	tests = append(tests, diagTest{"attributes", func(q diagQuestion) []byte {
		b := append(diagMessage(q), 5, 0, 8, 0, 0, 0, 0, 0)
		put32(atLen, uint32(len(b)))(b)
		return b
	}, 1000, nil})
	whole("two messages", unix.EPROTO, func(q diagQuestion) []byte { return append(diagMessage(q), diagMessage(q)[:16]...) })
	for errno, want := range map[int32]error{
		-2: unix.ENOENT, -1: unix.EPERM, -22: unix.EINVAL, -4095: unix.Errno(4095),
		0: unix.EPROTO, 2: unix.EPROTO, -4096: unix.EPROTO, -1 << 31: unix.EPROTO,
	} {
		whole(fmt.Sprintf("error %d", errno), want, func(q diagQuestion) []byte { return diagError(q, errno) })
	}
	for n, err := range map[int]error{15: unix.EPROTO, 16: unix.EPROTO, 18: unix.EPROTO, 19: unix.EPROTO, 20: unix.ENOENT} {
		whole(fmt.Sprintf("%d bytes of an error", n), err, func(q diagQuestion) []byte {
			b := diagError(q, -2)[:n]
			put32(atLen, uint32(n))(b)
			return b
		})
	}
	whole("an error of another question", unix.EPROTO, func(q diagQuestion) []byte {
		b := diagError(q, -2)
		put32(atSeq, 1<<31)(b)
		return b
	})
	return tests
}

// mapToIPv6 makes an answer that of a socket for both families.
func mapToIPv6(b []byte) []byte {
	for _, at := range []int{atSrc, atDst} {
		if len(b) < at+16 {
			return b
		}
		address := bytes.Clone(b[at : at+4])
		copy(b[at:], "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff")
		copy(b[at+12:], address)
	}
	b[atFamily] = unix.AF_INET6
	return b
}

func TestDecodeDiag(t *testing.T) {
	const serial = 4711
	v4, v6 := newDiagQuestion(diagFrom, diagTo, 0, serial), newDiagQuestion(diagFrom6, diagTo6, 0, serial)
	for _, test := range diagTests() {
		for family, q := range map[string]diagQuestion{"IPv4": v4, "IPv6": v6} {
			t.Run(family+"/"+test.name, func(t *testing.T) {
				uid, err := q.decode(test.message(q))
				if uid != test.uid || err != test.err {
					t.Errorf("%d, %v, want %d, %v", uid, err, test.uid, test.err)
				}
			})
		}
	}
	if uid, err := v4.decode(mapToIPv6(diagMessage(v4))); uid != 1000 || err != nil {
		t.Errorf("IPv4 of a socket for both: %d, %v, want 1000", uid, err)
	}
	if uid, err := v6.decode(diagMessage(v4)); uid != 0 || err != error(unix.EPROTO) {
		t.Errorf("IPv4 for IPv6: %d, %v, want EPROTO", uid, err)
	}
}

// decidedDiag is the decision about an answer from the bytes alone.
func decidedDiag(q diagQuestion, b []byte) (uint32, error) {
	if len(b) < 16 || int(word(b, atLen)) != len(b) || word(b, atSeq) != q.Seq ||
		binary.NativeEndian.Uint16(b[atFlags:])&0x12 != 0 {
		return 0, unix.EPROTO
	}
	switch binary.NativeEndian.Uint16(b[atType:]) {
	case unix.NLMSG_ERROR:
		if len(b) < diagErrorSize || int32(word(b, 16)) >= 0 || int32(word(b, 16)) < -4095 {
			return 0, unix.EPROTO
		}
		return 0, unix.Errno(-int32(word(b, 16)))
	case unix.SOCK_DIAG_BY_FAMILY:
	default:
		return 0, unix.EPROTO
	}
	if len(b) < diagSize {
		return 0, unix.EPROTO
	}
	honest := diagMessage(q)
	mapped := mapToIPv6(diagMessage(q))
	same := func(as []byte) bool {
		n := 16
		if b[atFamily] == unix.AF_INET {
			n = 4
		}
		return b[atFamily] == as[atFamily] && bytes.Equal(b[atSport:atSrc], as[atSport:atSrc]) &&
			bytes.Equal(b[atSrc:atSrc+n], as[atSrc:atSrc+n]) && bytes.Equal(b[atDst:atDst+n], as[atDst:atDst+n])
	}
	switch {
	case b[atState] == 3:
		return 0, unix.EAGAIN
	case !bytes.Contains([]byte{1, 4, 5, 8, 9, 11}, b[atState:atState+1]):
		return 0, unix.ENOTCONN
	case !same(honest) && !(q.family == unix.AF_INET && same(mapped)), word(b, atUID) == noID:
		return 0, unix.EPROTO
	case word(b, atInode) == 0 && b[atState] == 1:
		return 0, unix.EAGAIN
	case word(b, atInode) == 0:
		return 0, unix.ENOTCONN
	}
	return word(b, atUID), nil
}

// FuzzDecodeDiag compares the decoder with a second decision by the offsets in the headers.
func FuzzDecodeDiag(f *testing.F) {
	questions := []diagQuestion{newDiagQuestion(diagFrom, diagTo, 0, 1), newDiagQuestion(diagFrom6, diagTo6, 0, 1)}
	for _, test := range diagTests() {
		for which, q := range questions {
			f.Add(which == 1, test.message(q))
		}
	}
	f.Add(false, mapToIPv6(diagMessage(questions[0])))
	f.Fuzz(func(t *testing.T, v6 bool, message []byte) {
		q := questions[0]
		if v6 {
			q = questions[1]
		}
		uid, err := q.decode(message)
		wantUID, want := decidedDiag(q, message)
		if uid != wantUID || !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%x: %d, %v, want %d, %v", message, uid, err, wantUID, want)
		}
	})
}

func TestDecodeInetName(t *testing.T) {
	name := func(b ...byte) *unix.RawSockaddrInet6 { return overlay[unix.RawSockaddrInet6](b) }
	family := func(f uint16) []byte { return binary.NativeEndian.AppendUint16(nil, f) }
	v4 := append(family(unix.AF_INET), 0, 80, 127, 0, 0, 1)
	v6 := append(append(family(unix.AF_INET6), 0, 80, 0, 0, 0, 0), netip.IPv6Loopback().AsSlice()...)
	mapped := append(append(family(unix.AF_INET6), 0, 80, 0, 0, 0, 0), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"...)
	poison := poisoned[unix.RawSockaddrInet6]()
	for _, test := range []struct {
		what   string
		name   *unix.RawSockaddrInet6
		length uint32
		want   string
		err    error
	}{
		{"IPv4", name(v4...), 16, "127.0.0.1:80", nil},
		{"IPv6", name(v6...), 28, "[::1]:80", nil},
		{"mapped", name(mapped...), 28, "127.0.0.1:80", nil},
		{"IPv4, too long", name(v4...), 28, "invalid AddrPort", unix.EPROTO},
		{"IPv4, cut short", name(v4...), 8, "invalid AddrPort", unix.EPROTO},
		{"IPv6, cut short", name(v6...), 16, "invalid AddrPort", unix.EPROTO},
		{"another family", name(family(unix.AF_UNIX)...), 16, "invalid AddrPort", unix.EPROTO},
		{"unwritten", &poison, 28, "invalid AddrPort", unix.EPROTO},
	} {
		if got, err := decodeInetName(test.name, test.length); got.String() != test.want || err != test.err {
			t.Errorf("%s: %v, %v, want %v, %v", test.what, got, err, test.want, test.err)
		}
	}
}
