package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var equalErrors = cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) && errors.Is(b, a) || a == b })

// controlHeader is the length of struct cmsghdr with padding, on this processor.
var controlHeader = unix.CmsgLen(0)

// aControl is a control message. claims is its length in its header, and 0 for the true one.
func aControl(level, kind int32, claims int, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := unix.Cmsghdr{Level: level, Type: kind}
	h.SetLen(unix.CmsgLen(len(data)))
	if claims != 0 {
		h.SetLen(claims)
	}
	copy(b, bytesOf(&h))
	copy(b[controlHeader:], data)
	return b
}

func socketControl(kind int32, data ...byte) []byte {
	return aControl(unix.SOL_SOCKET, kind, 0, data...)
}

func words32(words ...int32) (b []byte) {
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, uint32(w))
	}
	return b
}

var (
	senderControl = socketControl(unix.SCM_CREDENTIALS, words32(42, 1000, 1001)...)
	rightsControl = socketControl(unix.SCM_RIGHTS, words32(-1, -1, -1)...)
	stampControl  = socketControl(unix.SO_TIMESTAMP, make([]byte, 16)...)
	otherControl  = aControl(unix.SOL_IP, unix.SCM_CREDENTIALS, 0, 1, 2, 3)
)

// controlTest is what the kernel attached, and what it must mean. The tests of the C shim use
// them too.
type controlTest struct {
	name     string
	control  []byte
	want     Received
	isSender bool
	err      error
}

func controlTests() []controlTest {
	sender := func(change func(*Received)) Received {
		r := Received{PID: 42, UID: 1000, GID: 1001, Pidfd: -1}
		change(&r)
		return r
	}
	same := func(*Received) {}
	join := func(controls ...[]byte) []byte { return bytes.Join(controls, nil) }
	with := func(control ...byte) func(*Received) { return func(r *Received) { r.Control = control } }
	label := func(text string) []byte { return socketControl(unix.SCM_SECURITY, []byte(text)...) }
	pidfd := func(word int32) []byte { return socketControl(unix.SCM_PIDFD, words32(word)...) }
	none := Received{Pidfd: -1}
	bad := func(name string, control []byte) controlTest {
		return controlTest{name, control, none, false, unix.EPROTO}
	}
	tests := []controlTest{
		{"nothing", nil, none, false, nil},
		{"a sender", senderControl, sender(same), true, nil},
		{"root", socketControl(unix.SCM_CREDENTIALS, words32(1, 0, 0)...), Received{PID: 1, Pidfd: -1}, true, nil},
		{"no pid", socketControl(unix.SCM_CREDENTIALS, words32(0, 65534, 65534)...), Received{UID: 65534, GID: 65534, Pidfd: -1}, true, nil},
		{"a label", join(senderControl, label("a_t")), sender(func(r *Received) { r.Label = "a_t" }), true, nil},
		{"a label with its NUL", join(senderControl, label("a_t\x00")), sender(func(r *Received) { r.Label = "a_t" }), true, nil},
		{"an empty label", join(senderControl, label("")), sender(same), true, nil},
		{"a label of NUL", join(senderControl, label("\x00")), sender(same), true, nil},
		{"a label of two NULs", join(senderControl, label("\x00\x00")), sender(same), true, nil},
		{"no pidfd, it was reaped", join(senderControl, pidfd(-int32(unix.ESRCH))), sender(func(r *Received) { r.PidfdError = unix.ESRCH }), true, nil},
		{"no pidfd, no reason", join(senderControl, pidfd(-4096)), sender(func(r *Received) { r.PidfdError = unix.EPROTO }), true, nil},
		{"descriptors", join(senderControl, rightsControl), sender(with(rightsControl...)), true, nil},
		{"others before and after", join(stampControl, senderControl, rightsControl, otherControl), sender(with(join(stampControl, rightsControl, otherControl)...)), true, nil},
		{"a label and others", join(senderControl, label("a_t"), rightsControl, pidfd(-3)),
			sender(func(r *Received) { r.Label, r.Control, r.PidfdError = "a_t", rightsControl, unix.ESRCH }), true, nil},
		{"others alone", join(stampControl, rightsControl), func() Received { r := none; r.Control = join(stampControl, rightsControl); return r }(), false, nil},
		{"a sender of another level", otherControl, func() Received { r := none; r.Control = otherControl; return r }(), false, nil},

		bad("two senders", join(senderControl, senderControl)),
		bad("half a sender, and a pidfd", join(socketControl(unix.SCM_CREDENTIALS, words32(42, 1000)...), pidfd(-3))),
		bad("a label with a NUL inside, and a pidfd", join(senderControl, label("a\x00b"), pidfd(-3))),
		bad("half a sender", socketControl(unix.SCM_CREDENTIALS, words32(42, 1000)...)),
		bad("more than a sender", socketControl(unix.SCM_CREDENTIALS, words32(42, 1000, 1000, 0)...)),
		bad("no ids", socketControl(unix.SCM_CREDENTIALS)),
		bad("a negative pid", socketControl(unix.SCM_CREDENTIALS, words32(-1, 1000, 1000)...)),
		bad("uid -1", socketControl(unix.SCM_CREDENTIALS, words32(42, -1, 1000)...)),
		bad("gid -1", socketControl(unix.SCM_CREDENTIALS, words32(42, 1000, -1)...)),
		bad("two labels", join(senderControl, label("a"), label("b"))),
		bad("a label after others", join(senderControl, stampControl, label("a"))),
		bad("a label with a NUL inside", join(senderControl, label("a\x00b"))),
		bad("two pidfds", join(senderControl, pidfd(-3), pidfd(-3))),
		bad("half a pidfd", join(senderControl, socketControl(unix.SCM_PIDFD, 0, 0))),
		bad("two words of pidfd", join(senderControl, socketControl(unix.SCM_PIDFD, words32(-3, -3)...))),
		bad("a header cut short", join(senderControl, senderControl[:controlHeader-1])),
		bad("data cut short", senderControl[:controlHeader+11]),
		bad("one byte", []byte{1}),
	}
	for _, claims := range []int{-1, 1, controlHeader - 1, controlHeader + 13, 1 << 20} {
		tests = append(tests, bad(fmt.Sprintf("a length of %d", claims), aControl(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, claims, words32(42, 1000, 1000)...)))
	}
	return tests
}

func TestDecodeControl(t *testing.T) {
	for _, test := range controlTests() {
		control := bytes.Clone(test.control)
		r, isSender, err := decodeControl(control)
		if err != nil {
			if err != test.err {
				t.Errorf("%s: %v, want %v", test.name, err, test.err)
			}
			continue
		}
		r.Control = keepOthers(control)
		if len(r.Control) == 0 {
			r.Control = nil
		}
		if diff := cmp.Diff(test.want, r, equalErrors); diff != "" || isSender != test.isSender || test.err != nil {
			t.Errorf("%s: a sender: %v, want %v and %v (-want +got):\n%s", test.name, isSender, test.isSender, test.err, diff)
		}
	}
}

// A message has one pidfd. (The shim's fake kernel would miss the second.)
func TestTwoPidfds(t *testing.T) {
	pidfds := append(socketControl(unix.SCM_PIDFD, words32(7)...), socketControl(unix.SCM_PIDFD, words32(8)...)...)
	if r, _, err := decodeControl(socketControl(unix.SCM_PIDFD, words32(0)...)); r.Pidfd != 0 || err != nil {
		t.Errorf("%+v, %v, want the pidfd 0", r, err)
	}
	if r, _, err := decodeControl(pidfds); r.Pidfd != 7 || err != error(unix.EPROTO) {
		t.Errorf("%+v, %v, want EPROTO", r, err)
	}
}

// A pidfd that came with a message that is lost is closed, and so are descriptors.
func TestClosesWhatItLost(t *testing.T) {
	open := func() int {
		fd, err := unix.Dup(2)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	isOpen := func(fd int) bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil
	}
	pidfd, first, second := open(), open(), open()
	control := bytes.Join([][]byte{
		senderControl, socketControl(unix.SCM_PIDFD, words32(int32(pidfd))...), socketControl(unix.SCM_RIGHTS, words32(int32(first), -1, int32(second))...), {1, 2, 3},
	}, nil)
	r, _, err := decodeControl(control)
	if r.Pidfd != pidfd || err == nil {
		t.Fatalf("%+v, %v, want the pidfd and an error", r, err)
	}
	closeDescriptor(r.Pidfd)
	closeRights(control)
	for _, fd := range []int{pidfd, first, second} {
		if isOpen(fd) {
			t.Errorf("descriptor %d is open", fd)
			unix.Close(fd)
		}
	}
}

func TestDecodeUnixName(t *testing.T) {
	longest := strings.Repeat("x", len(unix.RawSockaddrUnix{}.Path))
	for _, test := range []struct {
		what   string
		family uint16
		path   string
		length int // of the path
		want   string
		err    error
	}{
		{"none", 0, "", -2, "", nil},
		{"half a family", unix.AF_UNIX, "", -1, "", nil},
		{"unnamed", unix.AF_UNIX, "", 0, "", nil},
		{"a path", unix.AF_UNIX, "/run/s\x00", 7, "/run/s", nil},
		{"a path without its NUL", unix.AF_UNIX, "/run/s", 6, "/run/s", nil},
		{"the longest path", unix.AF_UNIX, longest, len(longest), longest, nil},
		{"an abstract name", unix.AF_UNIX, "\x00a\x00b", 4, "@a\x00b", nil},
		{"an abstract name of nothing", unix.AF_UNIX, "\x00", 1, "@", nil},
		{"another family", unix.AF_INET, "/run/s", 6, "", unix.EPROTO},
		{"the longest path and its NUL", unix.AF_UNIX, longest, len(longest) + 1, longest, nil},
		{"too long", unix.AF_UNIX, longest, len(longest) + 2, "", unix.EPROTO},
	} {
		name := unix.RawSockaddrUnix{Family: test.family}
		copy(bytesOf(&name.Path), test.path)
		got, err := decodeUnixName(&name, uint32(2+test.length))
		if got != test.want || err != test.err {
			t.Errorf("%s: %q, %v, want %q, %v", test.what, got, err, test.want, test.err)
		}
	}
}

// decidedControl is the decision about control messages from the bytes alone.
func decidedControl(b []byte) (r Received, isSender bool, err error) {
	r.Pidfd = -1
	word := unsafe.Sizeof(uintptr(0))
	align := func(n int) int { return (n + int(word) - 1) &^ (int(word) - 1) }
	isFirst, toldPidfd := true, false
	for len(b) > 0 {
		if len(b) < int(word)+8 {
			return r, isSender, unix.EPROTO
		}
		size := uint64(binary.NativeEndian.Uint32(b))
		if word == 8 {
			size = binary.NativeEndian.Uint64(b)
		}
		if size < uint64(controlHeader) || size > uint64(len(b)) {
			return r, isSender, unix.EPROTO
		}
		level, kind := int32(binary.NativeEndian.Uint32(b[word:])), int32(binary.NativeEndian.Uint32(b[word+4:]))
		data := b[controlHeader:size]
		number := func(n int) uint32 { return binary.NativeEndian.Uint32(data[4*n:]) }
		switch {
		case level != 1:
			isFirst = false
		case kind == 2: // SCM_CREDENTIALS
			if isSender || len(data) != 12 || number(0) > 1<<31-1 || number(1) == noID || number(2) == noID {
				return r, isSender, unix.EPROTO
			}
			isSender, r.PID, r.UID, r.GID = true, int32(number(0)), number(1), number(2)
		case kind == 3: // SCM_SECURITY
			text := string(data)
			if !isFirst {
				return r, isSender, unix.EPROTO
			}
			isFirst = false
			text = strings.TrimSuffix(text, "\x00")
			if strings.HasPrefix(text, "\x00") {
				text = ""
			}
			if strings.Contains(text, "\x00") {
				return r, isSender, unix.EPROTO
			}
			r.Label = text
		case kind == 4: // SCM_PIDFD
			if toldPidfd || len(data) != 4 {
				return r, isSender, unix.EPROTO
			}
			toldPidfd = true
			switch n := int32(number(0)); {
			case n >= 0:
				r.Pidfd = int(n)
			case n >= -4095:
				r.PidfdError = unix.Errno(-n)
			default:
				r.PidfdError = unix.EPROTO
			}
		default:
			isFirst = false
		}
		b = b[min(align(int(size)), len(b)):]
	}
	return r, isSender, nil
}

// FuzzDecodeControl compares the decoder with a second decision by the layout in the headers.
func FuzzDecodeControl(f *testing.F) {
	for _, test := range controlTests() {
		f.Add(test.control)
	}
	f.Fuzz(func(t *testing.T, control []byte) {
		r, isSender, err := decodeControl(bytes.Clone(control))
		want, wantSender, wantErr := decidedControl(control)
		if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%x: %v, want %v", control, err, wantErr)
		}
		if diff := cmp.Diff(want, r, equalErrors); err == nil && (diff != "" || isSender != wantSender) {
			t.Errorf("%x: a sender: %v, want %v (-want +got):\n%s", control, isSender, wantSender, diff)
		}
		if kept := keepOthers(bytes.Clone(control)); len(kept) > len(control) {
			t.Errorf("%x: kept %x", control, kept)
		}
	})
}
