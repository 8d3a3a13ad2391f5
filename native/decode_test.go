//go:build unix

package native

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// ids is what a decoder made of a buffer.
type ids struct {
	PID      int32
	UID, GID uint32
	Err      error
}

// layout is a kernel's answer as bytes: the decoder for it, and where the system's
// header puts each field. want makes the same decision from the bytes alone.
type layout struct {
	name     string
	size     int
	decode   func(buffer []byte, length uint32) ids
	want     func(buffer []byte, length uint32) ids
	poisoned func() []byte // as it goes into the call; nil where x/sys zeroes it
}

const slotSize = int(unsafe.Sizeof(uintptr(0)))

var layouts = []layout{
	{
		name: "Linux ucred", size: 12,
		decode: func(b []byte, n uint32) ids { return decoded(overlay[linuxUcred](b).decode(n)) },
		want: func(b []byte, n uint32) ids {
			pid, uid, gid := int32(word(b, 0)), word(b, 4), word(b, 8)
			switch {
			case n != 12 || pid < 0:
				return ids{Err: unix.EPROTO}
			case uid == noID || gid == noID:
				return ids{Err: unix.ENOTCONN}
			}
			return ids{PID: pid, UID: uid, GID: gid}
		},
		poisoned: func() []byte { u := poisonedLinuxUcred(); return bytesOf(&u) },
	},
	{
		name: "Darwin xucred", size: 76,
		decode: func(b []byte, n uint32) ids {
			uid, gid, err := overlay[xucred](b).decode(n)
			return ids{UID: uid, GID: gid, Err: err}
		},
		want: func(b []byte, n uint32) ids {
			if n != 76 || !credibleXucred(b) {
				return ids{Err: unix.EPROTO}
			}
			return ids{UID: word(b, 4), GID: word(b, 12)}
		},
		poisoned: func() []byte { x := poisonedXucred(); return bytesOf(&x) },
	},
	{
		name: "Darwin LOCAL_PEERPID", size: 4,
		decode: func(b []byte, n uint32) ids {
			pid, err := decodePID(int32(word(b, 0)), n)
			return ids{PID: pid, Err: err}
		},
		want: func(b []byte, n uint32) ids {
			if n != 4 || int32(word(b, 0)) < 0 {
				return ids{Err: unix.EPROTO}
			}
			return ids{PID: int32(word(b, 0))}
		},
		poisoned: func() []byte { return []byte{0xff, 0xff, 0xff, 0xff} },
	},
	{
		name: "FreeBSD xucred", size: 72 + 2*slotSize,
		decode: func(b []byte, n uint32) ids { return decoded(overlay[freebsdXucred](b).decode(n)) },
		want: func(b []byte, n uint32) ids {
			pid := int32(word(b, 72+slotSize))
			if int(n) != 72+2*slotSize || !credibleXucred(b) || pid < 0 {
				return ids{Err: unix.EPROTO}
			}
			return ids{PID: pid, UID: word(b, 4), GID: word(b, 12)}
		},
		poisoned: func() []byte { x := poisonedFreeBSDXucred(); return bytesOf(&x) },
	},
	{
		name: "DragonFly xucred", size: 72 + 2*slotSize,
		decode: func(b []byte, n uint32) ids {
			uid, gid, err := overlay[freebsdXucred](b).decodeIDs(n)
			return ids{UID: uid, GID: gid, Err: err}
		},
		want: func(b []byte, n uint32) ids {
			if int(n) != 72+2*slotSize || !credibleXucred(b) {
				return ids{Err: unix.EPROTO}
			}
			return ids{UID: word(b, 4), GID: word(b, 12)}
		},
		poisoned: func() []byte { x := poisonedFreeBSDXucred(); return bytesOf(&x) },
	},
	{
		name: "OpenBSD sockpeercred", size: 12,
		decode: func(b []byte, _ uint32) ids { return decoded(overlay[openbsdPeercred](b).decode()) },
		want:   func(b []byte, _ uint32) ids { return plain(int32(word(b, 8)), word(b, 0), word(b, 4)) },
	},
	{
		name: "NetBSD unpcbid", size: 12,
		decode: func(b []byte, n uint32) ids { return decoded(overlay[netbsdUnpcbid](b).decode(n)) },
		want: func(b []byte, n uint32) ids {
			if n != 12 {
				return ids{Err: unix.EPROTO}
			}
			return plain(int32(word(b, 0)), word(b, 4), word(b, 8))
		},
		poisoned: func() []byte { c := poisonedNetBSDUnpcbid(); return bytesOf(&c) },
	},
	{
		name: "AIX peercred_struct", size: 24,
		decode: func(b []byte, _ uint32) ids { return decoded(overlay[aixPeercred](b).decode()) },
		want: func(b []byte, _ uint32) ids {
			got := plain(int32(word(b, 0)), word(b, 16), word(b, 20))
			if got.Err == nil && got.UID == 0 && got.GID == 0 {
				return ids{Err: errZeroIDs}
			}
			return got
		},
	},
	{
		name: "illumos ucred", size: 12,
		decode: func(b []byte, _ uint32) ids {
			return decoded(decodeUcred(int(int32(word(b, 0))), int(word(b, 4)), int(word(b, 8))))
		},
		want: func(b []byte, _ uint32) ids {
			pid, uid, gid := int32(word(b, 0)), word(b, 4), word(b, 8)
			if pid < 0 || uid == noID || gid == noID {
				return ids{Err: unix.EPROTO}
			}
			return ids{PID: pid, UID: uid, GID: gid}
		},
	},
}

func decoded(pid int32, uid, gid uint32, err error) ids { return ids{pid, uid, gid, err} }

// plain is the decision for the systems that always report all three.
func plain(pid int32, uid, gid uint32) ids {
	if pid < 1 || uid == noID || gid == noID {
		return ids{Err: unix.EPROTO}
	}
	return ids{PID: pid, UID: uid, GID: gid}
}

func credibleXucred(b []byte) bool {
	ngroups := int16(binary.NativeEndian.Uint16(b[8:]))
	return word(b, 0) == 0 && ngroups >= 1 && ngroups <= 16 && word(b, 4) != noID && word(b, 12) != noID
}

func word(b []byte, offset int) uint32 { return binary.NativeEndian.Uint32(b[offset:]) }

// overlay reads b as the C structure that T mirrors.
func overlay[T any](b []byte) *T {
	var v T
	copy(bytesOf(&v), b)
	return &v
}

// write is one field of an answer.
type write struct {
	offset int
	value  uint32
}

func answer(size int, writes ...write) []byte {
	b := make([]byte, size)
	for _, w := range writes {
		binary.NativeEndian.PutUint32(b[w.offset:], w.value)
	}
	return b
}

// ngroups is cr_ngroups, two bytes at offset 8.
func ngroups(b []byte, n int16) []byte {
	binary.NativeEndian.PutUint16(b[8:], uint16(n))
	return b
}

func layoutNamed(t *testing.T, name string) layout {
	i := slices.IndexFunc(layouts, func(l layout) bool { return l.name == name })
	if i < 0 {
		t.Fatalf("no layout %q", name)
	}
	return layouts[i]
}

func TestDecode(t *testing.T) {
	slot := 72 + slotSize
	whole := 72 + 2*slotSize
	malformed := ids{Err: unix.EPROTO}
	for _, test := range []struct {
		layout, name string
		buffer       []byte
		length       int
		want         ids
	}{
		{"Linux ucred", "a peer", answer(12, write{0, 1234}, write{4, 1}, write{8, 2}), 12, ids{1234, 1, 2, nil}},
		{"Linux ucred", "the highest ids", answer(12, write{0, 2147483647}, write{4, 4294967294}, write{8, 4294967294}), 12, ids{2147483647, 4294967294, 4294967294, nil}},
		{"Linux ucred", "root in another pid namespace", answer(12), 12, ids{}},
		{"Linux ucred", "no peer", answer(12, write{4, noID}, write{8, noID}), 12, ids{Err: unix.ENOTCONN}},
		{"Linux ucred", "no uid", answer(12, write{0, 1}, write{4, noID}), 12, ids{Err: unix.ENOTCONN}},
		{"Linux ucred", "no gid", answer(12, write{0, 1}, write{8, noID}), 12, ids{Err: unix.ENOTCONN}},
		{"Linux ucred", "cut short", answer(12, write{0, 1}), 4, malformed},
		{"Linux ucred", "empty", answer(12), 0, malformed},
		{"Linux ucred", "too long", answer(12, write{0, 1}), 16, malformed},
		{"Linux ucred", "negative pid", answer(12, write{0, 1 << 31}), 12, malformed},

		{"Darwin xucred", "a peer", ngroups(answer(76, write{4, 501}, write{12, 20}, write{16, 12}), 2), 76, ids{0, 501, 20, nil}},
		{"Darwin xucred", "root", ngroups(answer(76), 1), 76, ids{}},
		{"Darwin xucred", "what a TCP socket leaves of zeroes", answer(76), 0, malformed},
		{"Darwin xucred", "zeroes, with the full length", answer(76), 76, malformed},
		{"Darwin xucred", "another version", ngroups(answer(76, write{0, 1}), 1), 76, malformed},
		{"Darwin xucred", "16 groups", ngroups(answer(76), 16), 76, ids{}},
		{"Darwin xucred", "17 groups", ngroups(answer(76), 17), 76, malformed},
		{"Darwin xucred", "-1 groups", ngroups(answer(76), -1), 76, malformed},
		{"Darwin xucred", "cut short", ngroups(answer(76), 1), 12, malformed},
		{"Darwin xucred", "no uid", ngroups(answer(76, write{4, noID}), 1), 76, malformed},
		{"Darwin xucred", "no gid", ngroups(answer(76, write{12, noID}), 1), 76, malformed},
		{"Darwin LOCAL_PEERPID", "a pid", answer(4, write{0, 99}), 4, ids{PID: 99}},
		{"Darwin LOCAL_PEERPID", "none", answer(4), 4, ids{}},
		{"Darwin LOCAL_PEERPID", "cut short", answer(4, write{0, 99}), 2, malformed},
		{"Darwin LOCAL_PEERPID", "negative", answer(4, write{0, noID}), 4, malformed},

		{"FreeBSD xucred", "a peer", ngroups(answer(whole, write{4, 1001}, write{12, 1002}, write{slot, 77}), 1), whole, ids{77, 1001, 1002, nil}},
		{"FreeBSD xucred", "a kernel that reports no pid", ngroups(answer(whole, write{4, 1001}, write{12, 1002}), 1), whole, ids{0, 1001, 1002, nil}},
		{"FreeBSD xucred", "zeroes", answer(whole), whole, malformed},
		{"FreeBSD xucred", "negative pid", ngroups(answer(whole, write{slot, noID}), 1), whole, malformed},
		{"FreeBSD xucred", "of Darwin's length", ngroups(answer(whole), 1), 76, malformed},
		{"DragonFly xucred", "a peer, and noise in the slot", ngroups(answer(whole, write{4, 1001}, write{12, 1002}, write{slot, noID}), 1), whole, ids{0, 1001, 1002, nil}},

		{"OpenBSD sockpeercred", "uid, gid, pid in this order", answer(12, write{0, 1000}, write{4, 1001}, write{8, 55}), 12, ids{55, 1000, 1001, nil}},
		{"OpenBSD sockpeercred", "the getter's zeroes", answer(12), 12, malformed},
		{"OpenBSD sockpeercred", "no uid", answer(12, write{0, noID}, write{8, 55}), 12, malformed},
		{"NetBSD unpcbid", "pid, uid, gid in this order", answer(12, write{0, 55}, write{4, 1000}, write{8, 1001}), 12, ids{55, 1000, 1001, nil}},
		{"NetBSD unpcbid", "zeroes", answer(12), 12, malformed},
		{"NetBSD unpcbid", "cut short", answer(12, write{0, 55}), 8, malformed},
		{"AIX peercred_struct", "a peer", answer(24, write{0, 55}, write{16, 1000}, write{20, 1001}), 24, ids{55, 1000, 1001, nil}},
		{"AIX peercred_struct", "root", answer(24, write{0, 55}), 24, ids{Err: errZeroIDs}},
		{"AIX peercred_struct", "root's uid, another gid", answer(24, write{0, 55}, write{20, 1}), 24, ids{55, 0, 1, nil}},
		{"AIX peercred_struct", "the getter's zeroes", answer(24), 24, malformed},
		{"illumos ucred", "a peer", answer(12, write{0, 55}, write{4, 1000}, write{8, 4294967294}), 12, ids{55, 1000, 4294967294, nil}},
		{"illumos ucred", "without a uid", answer(12, write{0, 55}, write{4, noID}), 12, malformed},
		{"illumos ucred", "without a pid", answer(12, write{0, noID}), 12, malformed},
	} {
		t.Run(test.layout+"/"+test.name, func(t *testing.T) {
			got := layoutNamed(t, test.layout).decode(test.buffer, uint32(test.length))
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("% x, length %d (-want +got):\n%s", test.buffer, test.length, diff)
			}
		})
	}
}

func TestDecodeInt(t *testing.T) {
	for _, v := range []int32{0, 1, 1<<31 - 1, -1 << 31, -1} {
		for length := range uint32(9) {
			want, wantErr := int(v), error(nil)
			if length != 4 || v == -1 {
				want, wantErr = 0, unix.EPROTO
			}
			if got, err := decodeInt(v, length); got != want || err != wantErr {
				t.Errorf("decodeInt(%d, %d) = %d, %v, want %d, %v", v, length, got, err, want, wantErr)
			}
		}
	}
}

// Each word of a credible answer in turn has its smallest and largest values. The decision
// must be the one by the offsets in the C headers, and 1 is a pid.
func TestDecodeEnds(t *testing.T) {
	for _, l := range layouts {
		for at := 0; at < l.size; at += 4 {
			for _, value := range []uint32{0, 1, 2, 15, 16, 17, 1<<31 - 1, 1 << 31, noID - 1, noID} {
				buffer := bytes.Repeat(answer(4, write{0, 9}), l.size/4)
				if l.size >= 76 {
					buffer = ngroups(answer(l.size, write{4, 9}, write{12, 9}), 9)
				}
				binary.NativeEndian.PutUint32(buffer[at:], value)
				if got, want := l.decode(buffer, uint32(l.size)), l.want(buffer, uint32(l.size)); got != want {
					t.Errorf("%s, %d at offset %d: %v, want %v", l.name, value, at, got, want)
				}
			}
		}
	}
}

// If a call succeeds and leaves the buffer as it was, or writes only its first bytes, the
// buffer never reads as root, whatever the length is.
func TestTrap01UnfilledBufferIsNotRoot(t *testing.T) {
	for _, l := range layouts {
		if l.poisoned == nil {
			continue
		}
		for _, length := range []int{0, 1, l.size - 1, l.size, l.size + 1} {
			if got := l.decode(l.poisoned(), uint32(length)); got != (ids{Err: unix.EPROTO}) {
				t.Errorf("%s, poisoned, length %d: %+v, want EPROTO and zeroes", l.name, length, got)
			}
		}
		for written := range l.size {
			buffer := l.poisoned()
			clear(buffer[:written])
			if got := l.decode(buffer, uint32(written)); got.Err == nil || got.UID != 0 || got.GID != 0 || got.PID != 0 {
				t.Errorf("%s, %d bytes of zeroes written: %+v, want an error and zeroes", l.name, written, got)
			}
		}
	}
	for _, name := range []string{"OpenBSD sockpeercred", "AIX peercred_struct", "Darwin xucred", "FreeBSD xucred", "DragonFly xucred", "NetBSD unpcbid"} {
		l := layoutNamed(t, name)
		if got := l.decode(make([]byte, l.size), uint32(l.size)); got != (ids{Err: unix.EPROTO}) {
			t.Errorf("%s, all zeroes: %+v, want EPROTO", name, got)
		}
	}
}

// A kernel that writes all fields but one has not answered.
func TestEachFieldIsPoisoned(t *testing.T) {
	const version, uid, ngroups, gid = 0, 4, 8, 12
	for name, fields := range map[string][]int{
		"Linux ucred":      {0, 4, 8},
		"Darwin xucred":    {version, uid, ngroups, gid},
		"FreeBSD xucred":   {version, uid, ngroups, gid, 72 + slotSize},
		"DragonFly xucred": {version, uid, ngroups, gid},
		"NetBSD unpcbid":   {0, 4, 8},
	} {
		l := layoutNamed(t, name)
		for _, unwritten := range append(fields, -1) {
			buffer := l.poisoned()
			for at := 0; at < l.size; at += 4 {
				switch {
				case at == unwritten:
				case at == version && len(fields) > 3:
					binary.NativeEndian.PutUint32(buffer[at:], 0)
				case at == ngroups && len(fields) > 3:
					binary.NativeEndian.PutUint16(buffer[at:], 1)
				default:
					binary.NativeEndian.PutUint32(buffer[at:], 1000)
				}
			}
			got := l.decode(buffer, uint32(l.size))
			if (got.Err == nil) != (unwritten == -1) || got.Err != nil && got != (ids{Err: got.Err}) {
				t.Errorf("%s, nothing written at offset %d: %+v, want an error if that is one", name, unwritten, got)
			}
		}
	}
}

// ipOptions are the answer of LOCAL_PEERCRED, which is IP_OPTIONS, about a TCP socket. They
// are 44 bytes that its creator chose, here version 0, one group, and uid and gid 0.
func ipOptions() []byte { return ngroups(answer(44), 1) }

// A TCP socket's options can read as root's xucred, except for their length. With the full
// length they are accepted.
func TestTrap01IPOptionsAreNotRoot(t *testing.T) {
	for _, name := range []string{"Darwin xucred", "FreeBSD xucred", "DragonFly xucred"} {
		l := layoutNamed(t, name)
		buffer := l.poisoned()
		copy(buffer, ipOptions())
		if name == "FreeBSD xucred" { // whose pid they do not reach
			copy(buffer[72+slotSize:], answer(4, write{0, 4242}))
		}
		if got := l.decode(buffer, uint32(l.size)); got.Err != nil || got.UID != 0 || got.GID != 0 {
			t.Errorf("%s, IP options with the full length: %v, want root, so that the length decides", name, got)
		}
		for length := range uint32(45) {
			if got := l.decode(buffer, length); got != (ids{Err: unix.EPROTO}) {
				t.Errorf("%s, %d bytes of IP options: %v, want EPROTO", name, length, got)
			}
		}
	}
	tos := layoutNamed(t, "NetBSD unpcbid") // where the option is IP_TOS, of 4 bytes
	buffer := tos.poisoned()
	copy(buffer, answer(4, write{0, 1}))
	if got := tos.decode(buffer, 4); got != (ids{Err: unix.EPROTO}) {
		t.Errorf("IP_TOS: %v, want EPROTO", got)
	}
}

// FuzzDecode compares each decoder with a second decision by the offsets in the C headers.
// The seeds are close to valid answers.
func FuzzDecode(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for i, l := range layouts {
		f.Add(uint8(i), uint32(44), ipOptions())
		for range 20 {
			buffer := make([]byte, l.size)
			for j := range buffer {
				if random.IntN(3) == 0 {
					buffer[j] = []byte{1, 0x7f, 0x80, 0xff, byte(random.Uint32())}[random.IntN(5)]
				}
			}
			f.Add(uint8(i), uint32(l.size), buffer)
			if l.size > 12 {
				f.Add(uint8(i), uint32(l.size), ngroups(answer(l.size, write{4, random.Uint32()}, write{12, random.Uint32()}), int16(random.IntN(19)-1)))
			}
			f.Add(uint8(i), random.Uint32N(100), buffer)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, length uint32, data []byte) {
		l := layouts[int(which)%len(layouts)]
		buffer := make([]byte, l.size)
		copy(buffer, data)
		got, want := l.decode(buffer, length), l.want(buffer, length)
		if got != want {
			t.Errorf("%s: % x, length %d: %+v, want %+v", l.name, buffer, length, got, want)
		}
		if got.Err != nil && got != (ids{Err: got.Err}) {
			t.Errorf("%s: %+v: an error with values", l.name, got)
		}
	})
}

func (i ids) String() string {
	return fmt.Sprintf("pid=%d uid=%d gid=%d err=%v", i.PID, i.UID, i.GID, i.Err)
}

// Only an end that has a name and whose peer has none is the accepted end.
func TestAcceptedNames(t *testing.T) {
	for _, test := range []struct {
		name      string
		own, peer bool
		want      error
	}{
		{"accepted end", true, false, nil},
		{"connecting end", false, true, errConnectingEnd},
		{"two names", true, true, errConnectingEnd},
		{"socketpair", false, false, errConnectingEnd},
	} {
		if got := checkAcceptedNames(test.own, test.peer); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// The table has names of sockets on macOS and the BSDs, as bytes.
func TestSocketName(t *testing.T) {
	long := append([]byte{255, unix.AF_UNIX}, bytes.Repeat([]byte{'n'}, 253)...)
	for _, test := range []struct {
		name   string
		bytes  []byte
		length uint32
		named  bool
		err    error
	}{
		{"a path", []byte{3, unix.AF_UNIX, '/'}, 3, true, nil},
		{"the longest path of the header", long[:106], 106, true, nil},
		{"a longer path", long[:107], 107, true, nil},
		{"the longest path", long, 255, true, nil},
		{"no path", []byte{2, unix.AF_UNIX}, 2, false, nil},
		{"what is behind the length is no path", []byte{2, unix.AF_UNIX, '/'}, 2, false, nil},
		{"a path of NULs", []byte{16, unix.AF_UNIX, 0, 0}, 16, false, nil},
		{"nothing written", nil, 0, false, unix.EPROTO},
		{"nothing written, with a length", nil, 16, false, unix.EPROTO},
		{"cut short", []byte{3, unix.AF_UNIX, '/'}, 1, false, unix.EPROTO},
		{"another family", []byte{16, unix.AF_INET, 1, 2}, 16, false, unix.EPROTO},
	} {
		name := overlay[socketName](test.bytes)
		if got, err := name.isNamed(test.length); got != test.named || err != test.err {
			t.Errorf("%s: %v, %v, want %v, %v", test.name, got, err, test.named, test.err)
		}
	}
}

// On DragonFly a Unix socket without a name has an empty address. On other systems an empty
// address has no family.
func TestSocketNameFamily(t *testing.T) {
	for _, test := range []struct {
		goos  string
		bytes []byte
		want  int
	}{
		{"netbsd", []byte{3, unix.AF_UNIX, '/'}, unix.AF_UNIX},
		{"netbsd", []byte{255, unix.AF_UNIX, '/'}, unix.AF_UNIX},
		{"netbsd", []byte{16, unix.AF_INET}, unix.AF_INET},
		{"netbsd", nil, unix.AF_UNSPEC},
		{"darwin", nil, unix.AF_UNSPEC},
		{"freebsd", nil, unix.AF_UNSPEC},
		{"dragonfly", nil, unix.AF_UNIX},
		{"dragonfly", []byte{16, unix.AF_UNSPEC}, unix.AF_UNSPEC},
		{"dragonfly", []byte{16, unix.AF_INET}, unix.AF_INET},
		{"dragonfly", []byte{0, unix.AF_INET}, unix.AF_INET},
	} {
		if got := overlay[socketName](test.bytes).addressFamily(test.goos); got != test.want {
			t.Errorf("%s, % x: family %d, want %d", test.goos, test.bytes, got, test.want)
		}
	}
}
