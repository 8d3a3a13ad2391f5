//go:build shims && linux && amd64

package native

import (
	"testing"

	"golang.org/x/sys/unix"
)

// What the shim says of a socket itself, on the same kernel. Linux's answers alone: the
// other systems tell the family by getsockname.

// badInts are answers that are no int, and what each is an error by.
var badInts = map[string]struct {
	reply
	err error
}{
	"success without a word": {says(nil, 4), unix.EPROTO},
	"cut short":              {says(words(1), 2), unix.EPROTO},
	"too long":               {says(words(1), 8), unix.EPROTO},
	"empty":                  {says(words(1), 0), unix.EPROTO},
	"an error":               {reply{errno: int(unix.EPERM), length: 4, bytes: words(1)}, unix.EPERM},
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

func TestShimsCanHavePeer(t *testing.T) {
	s := shimNamed(t, "linux")
	for _, test := range []struct {
		socketType, listens uint32
		want                error
	}{
		{unix.SOCK_STREAM, 0, nil},
		{unix.SOCK_SEQPACKET, 0, nil},
		{unix.SOCK_STREAM, 1, unix.ENOTCONN},
		{unix.SOCK_SEQPACKET, 1, unix.ENOTCONN},
		{unix.SOCK_DGRAM, 0, unix.ENOTCONN},
	} {
		q := listQuestion{fact: 'h', first: says(words(test.socketType), 4), second: says(words(test.listens), 4)}
		s.compareList(t, "a type, and whether it listens", q, oneWord(0, test.want))
	}
	for name, bad := range badInts {
		s.compareList(t, name, listQuestion{fact: 'h', first: bad.reply}, failed(bad.err))
		s.compareList(t, name, listQuestion{fact: 'h', first: says(words(unix.SOCK_STREAM), 4), second: bad.reply}, failed(bad.err))
	}
}

// A kernel that names a peer of a socket that has none.
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
		{"success without a word", says(nil, 12), failed(unix.EPROTO)},
	} {
		s.compareList(t, test.name, listQuestion{fact: 'a', first: test.reply}, test.want)
	}
}
