//go:build shims && linux && amd64

package native

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// The shim for the peer of a TCP connection over loopback, on the same kernel. It asks for the
// device and whether the connection was redirected, then twice for the peer, and then whether our end is connected.

var shimEnds = map[int][2]netip.AddrPort{
	unix.AF_INET:  {netip.MustParseAddrPort("127.0.0.1:4242"), netip.MustParseAddrPort("127.0.0.1:80")},
	unix.AF_INET6: {netip.MustParseAddrPort("[::1]:4242"), netip.MustParseAddrPort("[::1]:80")},
}

// loopbackQuestion is the question about a peer that an honest kernel knows, and the two
// questions that the shim sends to the kernel.
func loopbackQuestion(family int) (q listQuestion, first, second diagQuestion) {
	ends := shimEnds[family]
	first, second = newDiagQuestion(ends[0], ends[1], 0, 1), newDiagQuestion(ends[0], ends[1], 0, 2)
	return listQuestion{
		fact: 'u', aSocket: aSocket{family: family},
		first: message(diagMessage(first)), second: message(diagMessage(second)),
		third: says([]byte{unix.BPF_TCP_ESTABLISHED}, 1), fourth: reply{errno: int(unix.ENOPROTOOPT)},
	}, first, second
}

func message(b []byte) reply { return says(b, len(b)) }

// loopbackAnswer is what native decides. The question that was asked follows the uid.
func loopbackAnswer(asked diagQuestion, uid uint32, err error) list {
	if err != nil {
		return failed(err)
	}
	got := handedOut([]uint32{1, uid}, nil)
	question := handedOut(wordsOf(bytesOf(&asked)), nil)
	return list{Count: got.Count + question.Count, Bytes: got.Bytes + question.Bytes}
}

func TestShimsLoopback(t *testing.T) {
	s := shimNamed(t, "linux")
	for family, ends := range shimEnds {
		good, first, second := loopbackQuestion(family)
		want := func(uid uint32, err error) list { return loopbackAnswer(first, uid, err) }
		s.compareList(t, "a peer", good, want(1000, nil))
		for _, test := range diagTests() {
			q := good
			q.first = message(test.message(first))
			if _, err := first.decode(test.message(first)); err == nil {
				s.compareList(t, "first, "+test.name, q, want(1000, nil))
			} else if err != unix.ENOENT { // which needs another question
				s.compareList(t, "first, "+test.name, q, want(0, err))
			}
			q = good
			q.second = message(test.message(second))
			s.compareList(t, "second, "+test.name, q, want(second.decode(test.message(second))))
		}
		q := good
		q.first, q.second = message(diagError(first, -2)), message(diagError(second, -2))
		s.compareList(t, "nobody, not even ourselves", q, failed(noTCPDiag))
		q.second = message(diagMessage(newDiagQuestion(ends[1], ends[0], loopbackDevice, 2)))
		s.compareList(t, "nobody but ourselves", q, want(0, unix.ENOENT))
		q = good
		q.first.length = diagRoom + 1
		s.compareList(t, "more than there is room for", q, want(0, unix.EPROTO))
		for errno, err := range map[unix.Errno]error{unix.EAGAIN: unix.EPROTO, unix.ENOBUFS: unix.ENOBUFS, unix.EINTR: unix.EINTR} {
			q := good
			q.first = reply{errno: int(errno)}
			s.compareList(t, "no answer", q, want(0, err))
		}
		for state := range byte(14) {
			q := good
			q.third = says([]byte{state}, 1)
			if isConnected(state) {
				s.compareList(t, "our end is connected", q, want(1000, nil))
			} else {
				s.compareList(t, "our end is not connected", q, want(0, unix.ENOTCONN))
			}
		}
		for name, bad := range map[string]reply{"unwritten": says(nil, 1), "of no length": says([]byte{1}, 0), "too long": says([]byte{1}, 2)} {
			q := good
			q.third = bad
			s.compareList(t, "the state of our end is "+name, q, want(0, unix.EPROTO))
		}
		for device, err := range map[int]error{loopbackDevice: nil, 2: otherDevice} {
			q := good
			q.familyErrno = device
			if err == nil {
				s.compareList(t, "lo", q, want(1000, nil))
			} else {
				s.compareList(t, "another device", q, failed(err))
			}
		}
		for _, test := range originalTests(family) {
			q := good
			q.fourth, q.socketType = test.original, int(test.another)
			if test.err == nil {
				s.compareList(t, test.name, q, want(1000, nil))
			} else {
				s.compareList(t, test.name, q, failed(test.err))
			}
		}
	}
}

// FuzzShimsLoopback compares the shim's decoder of an answer with native's.
func FuzzShimsLoopback(f *testing.F) {
	s := shimNamed(f, "linux")
	for family := range shimEnds {
		_, _, second := loopbackQuestion(family)
		for _, test := range diagTests() {
			f.Add(family == unix.AF_INET6, test.message(second))
		}
	}
	f.Fuzz(func(t *testing.T, v6 bool, answer []byte) {
		family := unix.AF_INET
		if v6 {
			family = unix.AF_INET6
		}
		q, first, second := loopbackQuestion(family)
		answer = answer[:min(len(answer), 128)]
		q.second = message(answer)
		uid, err := second.decode(answer)
		s.compareList(t, "the second answer", q, loopbackAnswer(first, uid, err))
	})
}

// The codes of the header that are not errnos.
const (
	noTCPDiag   = unix.Errno(1<<64 - 4) // CPEERCRED_NO_TCP_DIAG
	redirected  = unix.Errno(1<<64 - 7)
	multipath   = unix.Errno(1<<64 - 8)
	otherDevice = unix.Errno(1<<64 - 9)
)

// originalTest is what the kernel says of the address that the client connected to. another
// is what it says of a socket that is not connected.
type originalTest struct {
	name     string
	original reply
	another  unix.Errno
	err      error
}

func originalTests(family int) []originalTest {
	size := unix.SizeofSockaddrInet4
	if family == unix.AF_INET6 {
		size = unix.SizeofSockaddrInet6
	}
	at := func(end netip.AddrPort) reply {
		b := binary.NativeEndian.AppendUint16(nil, uint16(family))
		b = binary.BigEndian.AppendUint16(b, end.Port())
		if family == unix.AF_INET6 {
			b = append(b, 0, 0, 0, 0)
		}
		b = append(b, end.Addr().AsSlice()...)
		return says(append(b, make([]byte, size-len(b))...), size)
	}
	peer, own := shimEnds[family][0], shimEnds[family][1]
	fails := func(errno unix.Errno) reply { return reply{errno: int(errno)} }
	short := at(own)
	short.length--
	return []originalTest{
		{"our address", at(own), 0, nil},
		{"the peer's address", at(peer), 0, nil},
		{"another port", at(netip.AddrPortFrom(own.Addr(), 81)), 0, redirected},
		{"another address", at(netip.MustParseAddrPort(map[int]string{unix.AF_INET: "127.0.0.2:80", unix.AF_INET6: "[::2]:80"}[family])), 0, redirected},
		{"not tracked", fails(unix.ENOENT), 0, nil},
		{"an error", fails(unix.EPERM), 0, unix.EPERM},
		{"unwritten", says(nil, size), 0, unix.EPROTO},
		{"cut short", short, 0, unix.EPROTO},
		{"MPTCP without tracking", fails(unix.EOPNOTSUPP), unix.ENOPROTOOPT, nil},
		{"MPTCP with tracking", fails(unix.EOPNOTSUPP), unix.ENOENT, multipath},
	}
}

func wordsOf(b []byte) (words []uint32) {
	for at := 0; at+4 <= len(b); at += 4 {
		words = append(words, word(b, at))
	}
	return words
}
