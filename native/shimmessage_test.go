//go:build shims && linux && amd64

package native

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// The shim for messages, on the same kernel. It receives into one byte, and into the capacity
// for control messages.

const controlRoom = 128

// nobody is what the kernel of these tests reports for a message without a sender.
var nobody = socketControl(unix.SCM_CREDENTIALS, words32(0, 65534, 65534)...)

// aMessage is what the kernel says to recvmsg(2).
type aMessage struct {
	kind, n, flags int
	control, name  []byte
	nameLength     int
}

func (m aMessage) question() listQuestion {
	return listQuestion{
		fact: 'm', capacity: controlRoom, aSocket: aSocket{socketType: m.kind},
		first:  message(m.control),
		second: says(binary.NativeEndian.AppendUint32(nil, uint32(m.flags)), m.n),
		third:  says(m.name, m.nameLength), fourth: message(nobody),
	}
}

// decided is what native decides, in the form of the shim's answer. Nobody is the sender of
// pid 0 whose ids are 65534.
func (m aMessage) decided() list {
	control := bytes.Clone(m.control)
	r, isSender, err := decodeControl(control)
	switch {
	case m.flags&unix.MSG_CTRUNC != 0:
		err = unix.ENOBUFS
	case err != nil:
	case m.flags&unix.MSG_TRUNC != 0 || m.n > 1:
		err = unix.EMSGSIZE
	case m.n == 0 && (m.kind == unix.SOCK_STREAM || m.kind == unix.SOCK_SEQPACKET && !isSender):
		minusOne := ^uint32(0)
		return m.answer([]uint32{0, 0, 0, 0, minusOne, 0, 1, 0, 0, 0, 0}, nil)
	case !isSender, r.PID == 0 && r.UID == 65534 && r.GID == 65534:
		err = unix.ENODATA
	}
	var name unix.RawSockaddrUnix
	copy(bytesOf(&name), m.name)
	if err == nil {
		r.From, err = decodeUnixName(&name, uint32(m.nameLength))
	}
	if err != nil {
		return failed(err)
	}
	open := uint32(0)
	if r.Pidfd != -1 {
		open++
	}
	errno, _ := r.PidfdError.(unix.Errno)
	kept := keepOthers(control)
	return m.answer([]uint32{
		uint32(m.n), uint32(r.PID), r.UID, r.GID, uint32(r.Pidfd), uint32(errno), 0, open, uint32(len(r.Label)), uint32(len(kept)), uint32(len(r.From)),
	}, append(append([]byte(r.Label), kept...), r.From...))
}

// answer pads the words to those of ask.c.
func (m aMessage) answer(fields []uint32, rest []byte) list {
	b := make([]byte, 400)
	for n, word := range fields {
		binary.NativeEndian.PutUint32(b[4*n:], word)
	}
	copy(b[4*len(fields):], rest)
	return handedOut(wordsOf(b), nil)
}

func TestShimsMessage(t *testing.T) {
	s := shimNamed(t, "linux")
	good := aMessage{kind: unix.SOCK_DGRAM, n: 1, control: senderControl}
	compare := func(name string, m aMessage) {
		t.Helper()
		s.compareList(t, name, m.question(), m.decided())
	}
	for _, test := range controlTests() {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
			for _, n := range []int{0, 1, 2} {
				m := good
				m.kind, m.n, m.control = kind, n, test.control[:min(len(test.control), controlRoom)]
				compare(test.name, m)
				m.flags = unix.MSG_CTRUNC
				compare(test.name+", cut short", m)
				m.flags = unix.MSG_TRUNC
				compare(test.name+", too long", m)
			}
		}
	}
	descriptors := good
	descriptors.control = bytes.Join([][]byte{senderControl, socketControl(unix.SCM_PIDFD, words32(7)...)}, nil)
	compare("a pidfd", descriptors)
	descriptors.n = 2
	compare("a pidfd of a message that is lost", descriptors)
	descriptors = good
	descriptors.n, descriptors.control = 2, bytes.Join([][]byte{senderControl, socketControl(unix.SCM_RIGHTS, words32(7, 8, 9)...)}, nil)
	compare("descriptors of a message that is lost", descriptors)
	for name, bytes := range map[string][]byte{
		"a path": append([]byte{unix.AF_UNIX, 0}, "/run/s\x00"...), "an abstract name": append([]byte{unix.AF_UNIX, 0}, "\x00a\x00b"...),
		"another family": {unix.AF_INET, 0, 'x'}, "a family": {unix.AF_UNIX, 0}, "nothing": nil,
	} {
		m := good
		m.name = bytes
		for _, m.nameLength = range []int{0, 1, len(bytes), 110, 111, 112} {
			compare(name, m)
		}
	}
	q := good.question()
	q.first.length = controlRoom + 1
	s.compareList(t, "more control messages than there is room for", q, failed(unix.EPROTO))
	q = good.question()
	q.second = reply{errno: int(unix.EAGAIN)}
	s.compareList(t, "no message", q, failed(unix.EAGAIN))
	q = good.question()
	q.second.length = ^uint32(4)
	s.compareList(t, "a negative size", q, failed(unix.EPROTO))
}

// FuzzShimsMessage compares the shim with native's decoder.
func FuzzShimsMessage(f *testing.F) {
	s := shimNamed(f, "linux")
	for _, test := range controlTests() {
		f.Add(test.control, uint8(unix.SOCK_DGRAM), uint8(1), uint8(0))
	}
	f.Fuzz(func(t *testing.T, control []byte, kind, n, flags uint8) {
		control = control[:min(len(control), controlRoom)]
		for rest := control; ; { // the descriptors are not the kernel's
			kind, data, whole, ok := nextControl(rest)
			if !ok {
				break
			}
			if kind == unix.SCM_RIGHTS || kind == unix.SCM_PIDFD {
				copy(data, bytes.Repeat([]byte{0xff}, len(data)))
			}
			rest = rest[whole:]
		}
		m := aMessage{kind: int(1 + kind%5), n: int(n % 3), flags: int(flags) & (unix.MSG_CTRUNC | unix.MSG_TRUNC), control: control}
		s.compareList(t, "a message", m.question(), m.decided())
	})
}
