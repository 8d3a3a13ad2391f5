//go:build shims && linux && amd64

package native

import (
	"bytes"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests ask the shims about the socket itself, on the same kernel. Linux reports the
// family by an option, macOS and the BSDs by getsockname.

// badInts are answers that are not an int, and the reason why each is an error.
var badInts = map[string]struct {
	reply
	err error
}{
	"success without a write": {says(nil, 4), unix.EPROTO},
	"cut short":               {says(words(1), 2), unix.EPROTO},
	"too long":                {says(words(1), 8), unix.EPROTO},
	"empty":                   {says(words(1), 0), unix.EPROTO},
	"an error":                {reply{errno: int(unix.EPERM), length: 4, bytes: words(1)}, unix.EPERM},
}

// CPEERCRED_KIND_UNKNOWN and those after it.
const (
	kindUnknown = iota
	kindUnix
	kindTCP
	kindUDP
)

func TestShimsKind(t *testing.T) {
	s := shimNamed(t, "linux")
	for _, test := range []struct {
		family, socketType uint32
		want               int32
	}{
		{unix.AF_UNIX, unix.SOCK_STREAM, kindUnix},
		{unix.AF_UNIX, unix.SOCK_DGRAM, kindUnix},
		{unix.AF_INET, unix.SOCK_STREAM, kindTCP},
		{unix.AF_INET6, unix.SOCK_STREAM, kindTCP},
		{unix.AF_INET, unix.SOCK_DGRAM, kindUDP},
		{unix.AF_INET6, unix.SOCK_DGRAM, kindUDP},
		{unix.AF_INET, unix.SOCK_SEQPACKET, kindUnknown},
		{unix.AF_UNSPEC, unix.SOCK_STREAM, kindUnknown},
		{unix.AF_VSOCK, unix.SOCK_STREAM, kindUnknown},
	} {
		q := listQuestion{fact: 'k', first: says(words(test.family), 4), second: says(words(test.socketType), 4)}
		s.compareList(t, "a family and a type", q, oneWord(test.want, nil))
	}
	s.compareList(t, "no socket", listQuestion{fact: 'k', first: reply{errno: int(unix.ENOTSOCK)}}, oneWord(kindUnknown, nil))
	for name, bad := range badInts {
		s.compareList(t, name, listQuestion{fact: 'k', first: bad.reply}, failed(bad.err))
		s.compareList(t, name, listQuestion{fact: 'k', first: says(words(unix.AF_INET), 4), second: bad.reply}, failed(bad.err))
	}
}

// On other systems this comes before the question, which an IP socket answers too.
func TestShimsTrap01Family(t *testing.T) {
	s := shimNamed(t, "linux")
	for _, test := range []struct {
		family, socketType uint32
		want               error
	}{
		{unix.AF_UNIX, unix.SOCK_STREAM, nil},
		{unix.AF_UNIX, unix.SOCK_DGRAM, nil},
		{unix.AF_INET, unix.SOCK_STREAM, unix.EAFNOSUPPORT},
		{unix.AF_INET6, unix.SOCK_DGRAM, unix.EAFNOSUPPORT},
		{unix.AF_UNSPEC, unix.SOCK_STREAM, unix.EAFNOSUPPORT},
	} {
		q := listQuestion{fact: 'f', first: says(words(test.family), 4), second: says(words(test.socketType), 4)}
		s.compareList(t, "a family", q, oneWord(0, test.want))
	}
	s.compareList(t, "no socket", listQuestion{fact: 'f', first: reply{errno: int(unix.ENOTSOCK)}}, failed(unix.EAFNOSUPPORT))
	for name, bad := range badInts {
		s.compareList(t, name, listQuestion{fact: 'f', first: bad.reply}, failed(bad.err))
	}
}

// bsds are the shims that get the family from getsockname, with their EAFNOSUPPORT.
var bsds = []string{"darwin", "freebsd", "dragonfly", "openbsd", "netbsd"}

const (
	bsdEAFNOSUPPORT = syscall.Errno(47)
	bsdENOTSOCK     = 38
)

// A socket of another family is an error, whatever it answers. Here it names root as its
// peer, and the kernel's own test passes for OpenBSD's raw ICMP socket.
func TestShimsTrap01BSDs(t *testing.T) {
	for _, name := range bsds {
		s := shimNamed(t, name)
		root := honest(s.layout, rootBuffer(s.shim))
		want := s.decode(root)
		if want.Err != nil || want.UID != 0 || want.GID != 0 {
			t.Fatalf("%s: %v, want root on a Unix socket", name, want)
		}
		check := func(what string, is aSocket, want ids) {
			t.Helper()
			q := root
			q.aSocket = is
			if got := s.ask(t, q); got != want {
				t.Errorf("%s, %s: %v, want %v", name, what, got, want)
			}
			// The families that Kind and the groups are asked about go the same way.
			family := listQuestion{fact: 'f', aSocket: is}
			if want.Err == nil {
				s.compareList(t, what, family, oneWord(0, nil))
			} else {
				s.compareList(t, what, family, failed(want.Err))
			}
		}
		refused := ids{Err: bsdEAFNOSUPPORT}
		check("a Unix socket", aSocket{}, want)
		check("a Unix socket of datagrams", aSocket{socketType: unix.SOCK_DGRAM}, want)
		check("a raw ICMP socket", aSocket{family: unix.AF_INET, socketType: unix.SOCK_RAW}, refused)
		check("a TCP socket", aSocket{family: unix.AF_INET}, refused)
		check("a UDP socket", aSocket{family: unix.AF_INET, socketType: unix.SOCK_DGRAM}, refused)
		check("another family", aSocket{family: 77}, refused)
		check("no socket", aSocket{familyErrno: bsdENOTSOCK}, refused)
		check("what cannot be asked", aSocket{familyErrno: 9}, ids{Err: unix.EBADF})
		if name == "dragonfly" { // whose Unix sockets without a name have no address at all
			check("no address", aSocket{family: noFamily}, want)
			for what, q := range map[string]question{
				"an address without a family": {aSocket: aSocket{family: noFamily}, own: namedLong},
				"a family without an address": {aSocket: aSocket{family: 77}, own: nameCutShort},
			} {
				if got := s.ask(t, q); got != refused {
					t.Errorf("%s, %s: %v, want %v", name, what, got, refused)
				}
			}
		} else {
			check("no address", aSocket{family: noFamily}, refused)
		}
	}
}

// A TCP socket's options can read as root's xucred. They are an error because of the family,
// and because of their length if the kernel reports a Unix socket. The version and the number
// of groups do not make them an error.
func TestShimsTrap01IPOptions(t *testing.T) {
	for _, name := range []string{"darwin", "freebsd", "dragonfly"} {
		s := shimNamed(t, name)
		for what, test := range map[string]struct {
			aSocket
			want error
		}{
			"a TCP socket":  {aSocket{family: unix.AF_INET}, bsdEAFNOSUPPORT},
			"a Unix socket": {aSocket{}, unix.EPROTO},
		} {
			q := question{aSocket: test.aSocket, first: says(ipOptions(), 44), second: says(words(4242), 4)}
			if got := s.ask(t, q); got != (ids{Err: test.want}) {
				t.Errorf("%s, %s with IP options: %v, want %v", name, what, got, test.want)
			}
			groups := listQuestion{aSocket: test.aSocket, fact: 'g', capacity: 16, first: says(ipOptions(), 44)}
			s.compareList(t, what+" with IP options", groups, failed(test.want))
		}
	}
	s := shimNamed(t, "netbsd") // where the option is IP_TOS
	tos := question{own: named, first: says(words(0), 4)}
	if got := s.ask(t, tos); got != (ids{Err: unix.EPROTO}) {
		t.Errorf("netbsd, IP_TOS: %v, want EPROTO", got)
	}
	tos.family = unix.AF_INET
	if got := s.ask(t, tos); got != (ids{Err: bsdEAFNOSUPPORT}) {
		t.Errorf("netbsd, IP_TOS of a TCP socket: %v, want EAFNOSUPPORT", got)
	}
}

// rootBuffer is a whole answer about a peer that is root.
func rootBuffer(s shim) []byte {
	b := bytes.Clone(goodBuffer(s))
	for _, at := range idOffsets(s) {
		if word(b, at) != 4242 { // the pid
			copy(b[at:], words(0))
		}
	}
	return b
}

func TestShimsKindOnBSDs(t *testing.T) {
	for _, name := range bsds {
		s := shimNamed(t, name)
		for _, test := range []struct {
			is   aSocket
			want int32
		}{
			{aSocket{}, kindUnix},
			{aSocket{family: unix.AF_INET}, kindTCP},
			{aSocket{family: unix.AF_INET, socketType: unix.SOCK_DGRAM}, kindUDP},
			{aSocket{family: unix.AF_INET, socketType: unix.SOCK_RAW}, kindUnknown},
			{aSocket{family: 77}, kindUnknown},
			{aSocket{familyErrno: bsdENOTSOCK}, kindUnknown},
		} {
			s.compareList(t, name, listQuestion{fact: 'k', aSocket: test.is}, oneWord(test.want, nil))
		}
	}
}

func TestShimsCanHavePeer(t *testing.T) {
	s := shimNamed(t, "linux")
	type answers []reply
	notConnected := reply{errno: int(unix.ENOTCONN)}
	stream, packets, datagrams := says(words(unix.SOCK_STREAM), 4), says(words(unix.SOCK_SEQPACKET), 4), says(words(unix.SOCK_DGRAM), 4)
	yes, no := says(words(1), 4), says(words(0), 4)
	// For packets the kernel is asked about the peer of a socket whose connection was refused.
	for _, test := range []struct {
		name  string
		first reply
		rest  answers
		want  error
	}{
		{"a stream", stream, answers{no}, nil},
		{"a listener", stream, answers{yes}, unix.ENOTCONN},
		{"datagrams", datagrams, answers{no}, unix.ENOTCONN},
		{"packets", packets, answers{notConnected, no}, nil},
		{"packets, of nobody", packets, answers{says(words(0, noID, noID), 12), no}, nil},
		{"a listener for packets", packets, answers{notConnected, yes}, unix.ENOTCONN},
		{"packets, of somebody where there is nobody", packets, answers{says(words(4242, 0, 0), 12), no}, errConfusedEnds},
		{"packets, of whom it cannot be said", packets, answers{reply{errno: int(unix.EPERM)}, no}, unix.EPERM},
	} {
		q := listQuestion{fact: 'h', first: test.first, second: test.rest[0]}
		if len(test.rest) > 1 {
			q.third = test.rest[1]
		}
		s.compareList(t, test.name, q, oneWord(0, test.want))
	}
	for name, bad := range badInts {
		s.compareList(t, name, listQuestion{fact: 'h', first: bad.reply}, failed(bad.err))
		s.compareList(t, name, listQuestion{fact: 'h', first: stream, second: bad.reply}, failed(bad.err))
		s.compareList(t, name, listQuestion{fact: 'h', first: packets, second: notConnected, third: bad.reply}, failed(bad.err))
	}
}

// errConfusedEnds is CPEERCRED_CONFUSED_ENDS.
const errConfusedEnds = syscall.Errno(1<<64 - 1)

// OpenBSD can answer that it does not report whether a socket listens.
func TestShimsListensOnOpenBSD(t *testing.T) {
	const noProtocolOption, notConnected = 42, syscall.Errno(57)
	s := shimNamed(t, "openbsd")
	for _, test := range []struct {
		listens reply
		want    list
	}{
		{says(words(0), 4), oneWord(0, nil)},
		{says(words(1), 4), oneWord(0, notConnected)},
		{reply{errno: noProtocolOption}, oneWord(0, nil)},
		{reply{errno: int(unix.EPERM)}, failed(unix.EPERM)},
	} {
		s.compareList(t, "whether it listens", listQuestion{fact: 'h', first: test.listens}, test.want)
	}
}

// The kernel names a peer for a socket that has none.
func TestShimsTrap13(t *testing.T) {
	s := shimNamed(t, "linux")
	for _, test := range []struct {
		name string
		reply
		want list
	}{
		{"ids", says(words(4242, 0, 0), 12), oneWord(1, nil)},
		{"no peer", says(words(0, noID, noID), 12), oneWord(0, nil)},
		{"not connected", reply{errno: int(unix.ENOTCONN)}, oneWord(0, nil)},
		{"NetBSD's way to say so", reply{errno: int(unix.EINVAL)}, failed(unix.EINVAL)},
		{"refused", reply{errno: int(unix.EPERM)}, failed(unix.EPERM)},
		{"success without a write", says(nil, 12), failed(unix.EPROTO)},
	} {
		s.compareList(t, test.name, listQuestion{fact: 'a', first: test.reply}, test.want)
	}
}

// NetBSD has an errno of its own for a socket without a peer.
func TestShimsTrap13OnNetBSD(t *testing.T) {
	s := shimNamed(t, "netbsd")
	s.compareList(t, "no peer", listQuestion{fact: 'a', first: reply{errno: int(unix.EINVAL)}}, oneWord(0, nil))
	s.compareList(t, "refused", listQuestion{fact: 'a', first: reply{errno: int(unix.EPERM)}}, failed(unix.EPERM))
}

// The socket that is made without SOCK_CLOEXEC, which macOS does not have, is close-on-exec
// too. The kernel stops the shim if it is not.
func TestShimsCloseOnExec(t *testing.T) {
	shimNamed(t, "darwin").compareList(t, "refused", listQuestion{fact: 'a', first: reply{errno: int(unix.EPERM)}}, failed(unix.EPERM))
}
