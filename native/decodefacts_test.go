//go:build unix

package native

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// The tables have groups, security labels and audit tokens of all systems, as bytes.

func TestDecodeGroups(t *testing.T) {
	for _, test := range []struct {
		name   string
		buffer []uint32
		length uint32
		want   []uint32
		err    error
	}{
		{"none", []uint32{noID, noID}, 0, []uint32{}, nil},
		{"some", []uint32{7, 0, noID}, 8, []uint32{7, 0}, nil},
		{"as many as there is room", []uint32{7, 4294967294}, 8, []uint32{7, 4294967294}, nil},
		{"success without a write", []uint32{noID, noID}, 8, nil, unix.EPROTO},
		{"one unwritten", []uint32{7, noID}, 8, nil, unix.EPROTO},
		{"half a group", []uint32{7, 8}, 6, nil, unix.EPROTO},
		{"more than there is room", []uint32{7, 8}, 12, nil, unix.EPROTO},
		{"an absurd length", []uint32{7, 8}, 0xfffffffc, nil, unix.EPROTO},
	} {
		got, err := decodeGroups(test.buffer, test.length)
		if diff := cmp.Diff(test.want, got); diff != "" || err != test.err {
			t.Errorf("%s: %v, want %v (-want +got):\n%s", test.name, err, test.err, diff)
		}
		if len(got) > 0 {
			test.buffer[0]++
			if got[0] == test.buffer[0] {
				t.Errorf("%s: the answer is the kernel's buffer, and no copy", test.name)
			}
		}
	}
}

func TestSupplementaryGroups(t *testing.T) {
	sixteen := poisonedXucred()
	sixteen.version, sixteen.uid, sixteen.ngroups = xucredVersion, 501, 16
	for i := range sixteen.groups {
		sixteen.groups[i] = uint32(i)
	}
	with := func(change func(*xucred)) xucred {
		x := sixteen
		change(&x)
		return x
	}
	for _, test := range []struct {
		name string
		cred xucred
		want []uint32
		err  error
	}{
		{"the effective group alone", with(func(x *xucred) { x.ngroups = 1 }), []uint32{}, nil},
		{"one more", with(func(x *xucred) { x.ngroups = 2 }), []uint32{1}, nil},
		{"16", sixteen, []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, nil},
		{"17", with(func(x *xucred) { x.ngroups = 17 }), nil, unix.EPROTO},
		{"0", with(func(x *xucred) { x.ngroups = 0 }), nil, unix.EPROTO},
		{"-1", with(func(x *xucred) { x.ngroups = -1 }), nil, unix.EPROTO},
		{"the last unwritten", with(func(x *xucred) { x.groups[15] = noID }), nil, unix.EPROTO},
		{"one beyond unwritten", with(func(x *xucred) { x.groups[15], x.ngroups = noID, 15 }), []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, nil},
		{"another version", with(func(x *xucred) { x.version = 1 }), nil, unix.EPROTO},
		{"success without a write", poisonedXucred(), nil, unix.EPROTO},
	} {
		got, err := test.cred.supplementaryGroups()
		if diff := cmp.Diff(test.want, got); diff != "" || err != test.err {
			t.Errorf("%s: %v, want %v (-want +got):\n%s", test.name, err, test.err, diff)
		}
	}
}

func TestDecodeLabel(t *testing.T) {
	room := func(text string) []byte { return append([]byte(text), make([]byte, 20-len(text))...) }
	empty := errors.ErrUnsupported
	for _, test := range []struct {
		name   string
		buffer []byte
		length uint32
		want   string
		err    error
	}{
		{"with a NUL, as SELinux", room("kernel\x00"), 7, "kernel", nil},
		{"without, as AppArmor", room("unconfined"), 10, "unconfined", nil},
		{"of one byte", room("_"), 1, "_", nil},
		{"that fills the buffer", []byte("abc"), 3, "abc", nil},
		{"of no length", room(""), 0, "", empty},
		{"a NUL alone", room("\x00"), 1, "", empty},
		{"success without a write", make([]byte, 256), 256, "", empty},
		{"a NUL within", room("ke\x00nel\x00"), 7, "", unix.EPROTO},
		{"two NULs at the end", room("kernel\x00\x00"), 8, "", unix.EPROTO},
		{"shorter than it says", room("kernel"), 20, "", unix.EPROTO},
		{"longer than there is room", []byte("abc"), 4, "", unix.EPROTO},
		{"an absurd length", []byte("abc"), 0xffffffff, "", unix.EPROTO},
	} {
		if got, err := decodeLabel(test.buffer, test.length); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v, want %q, %v", test.name, got, err, test.want, test.err)
		}
	}
}

func TestDecodeAuditToken(t *testing.T) {
	good := auditToken{4294967295, 501, 20, 501, 20, 4711, 100005, 12}
	with := func(i int, word uint32) auditToken {
		t := good
		t[i] = word
		return t
	}
	for _, test := range []struct {
		name   string
		token  auditToken
		length uint32
		err    error
	}{
		{"a peer", good, 32, nil},
		{"root", with(1, 0), 32, nil},
		{"success without a write", poisonedAuditToken(), 32, unix.EPROTO},
		{"zeroes", auditToken{}, 32, unix.EPROTO},
		{"no euid", with(1, noID), 32, unix.EPROTO},
		{"no egid", with(2, noID), 32, unix.EPROTO},
		{"no ruid", with(3, noID), 32, unix.EPROTO},
		{"no rgid", with(4, noID), 32, unix.EPROTO},
		{"no version of the pid", with(7, noID), 32, unix.EPROTO},
		{"pid 1", with(5, 1), 32, nil},
		{"the highest pid", with(5, 1<<31-1), 32, nil},
		{"the lowest number that a pid_t holds", with(5, 1<<31), 32, unix.EPROTO},
		{"no pid", with(5, 0), 32, unix.EPROTO},
		{"a negative pid", with(5, noID), 32, unix.EPROTO},
		{"cut short", good, 28, unix.EPROTO},
		{"too long", good, 36, unix.EPROTO},
		{"empty", good, 0, unix.EPROTO},
	} {
		want := [8]uint32{}
		if test.err == nil {
			want = test.token
		}
		if got, err := test.token.decode(test.length); got != want || err != test.err {
			t.Errorf("%s: %v, %v, want %v, %v", test.name, got, err, want, test.err)
		}
	}
}

// If a call writes less than its length says, the rest of the buffer never reads as an answer.
func TestTrap01UnfilledFacts(t *testing.T) {
	for written := range 16 {
		groups := make([]uint32, 16)
		poisonIDs(groups[written:])
		if got, err := decodeGroups(groups, 64); got != nil || err != unix.EPROTO {
			t.Errorf("%d of 16 groups written: %v, %v, want EPROTO", written, got, err)
		}
		x := poisonedXucred()
		x.version, x.uid, x.ngroups = xucredVersion, 0, 16
		clear(x.groups[:written])
		if got, err := x.supplementaryGroups(); got != nil || err != unix.EPROTO {
			t.Errorf("%d of 16 groups of an xucred written: %v, %v, want EPROTO", written, got, err)
		}
	}
	for written := range len(auditToken{}) {
		token := poisonedAuditToken()
		for i := range token[:written] {
			token[i] = 1
		}
		if got, err := token.decode(32); got != [8]uint32{} || err != unix.EPROTO {
			t.Errorf("%d words of an audit token written: %v, %v, want EPROTO", written, got, err)
		}
	}
}

// FuzzDecodeFacts compares the decoders of groups and label with a second decision on the
// same bytes.
func FuzzDecodeFacts(f *testing.F) {
	f.Add([]byte("kernel\x00"), uint32(7))
	f.Add([]byte("unconfined"), uint32(10))
	f.Add([]byte("a\x00b"), uint32(3))
	f.Add([]byte{}, uint32(0))
	f.Add(answer(12, write{0, 7}, write{4, noID}), uint32(8))
	f.Add(answer(12, write{0, 7}), uint32(12))
	f.Add(answer(4, write{0, 7}), uint32(3))
	f.Fuzz(func(t *testing.T, data []byte, length uint32) {
		label, err := decodeLabel(data, length)
		text := ""
		if int64(length) <= int64(len(data)) {
			text = strings.TrimSuffix(string(data[:length]), "\x00")
		}
		if wantLabel := text != "" && !strings.Contains(text, "\x00"); (err == nil) != wantLabel || (wantLabel && label != text) || (!wantLabel && label != "") {
			t.Errorf("label %q, length %d: %q, %v", data, length, label, err)
		}

		buffer := make([]uint32, len(data)/4)
		for i := range buffer {
			buffer[i] = word(data, 4*i)
		}
		groups, err := decodeGroups(buffer, length)
		credible := length%4 == 0 && int64(length) <= int64(4*len(buffer))
		for at := uint32(0); credible && at < length; at += 4 {
			credible = !bytes.Equal(data[at:at+4], []byte{0xff, 0xff, 0xff, 0xff})
		}
		switch {
		case (err == nil) != credible || (groups == nil) == credible:
			t.Errorf("groups % x, length %d: %v, %v", data, length, groups, err)
		case credible && len(groups) != int(length/4):
			t.Errorf("groups % x, length %d: %d groups", data, length, len(groups))
		}
	})
}
