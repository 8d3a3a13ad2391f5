//go:build shims && linux && amd64

package native

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// These tests compare the C shims of all systems with this package's decoders. The shims are
// compiled with those systems' headers, and linked to a fake kernel that gives the answers
// of the test (make test-shims, see cpeercred/testdata/kernel).

// shim describes the shim of one system: its errnos, the call that it must make, and this
// package's decision on the same answer.
type shim struct {
	name          string
	layout        string
	size          int
	proto         int // EPROTO
	level, option int
	decode        func(q question) ids
}

var shims = []shim{
	{"linux", "Linux ucred", 12, 71, 1, 17, func(q question) ids {
		u := poisonedLinuxUcred()
		copy(bytesOf(&u), q.first.bytes)
		return decoded(u.decode(q.first.length))
	}},
	{"darwin", "Darwin xucred", 76, 100, 0, 1, func(q question) ids {
		x := poisonedXucred()
		copy(bytesOf(&x), q.first.bytes)
		uid, gid, err := x.decode(q.first.length)
		if err != nil || uid != q.euid || gid != q.egid {
			return ids{Err: unix.EPROTO}
		}
		var pid int32
		if q.second.errno == 0 {
			read := [4]byte{0xff, 0xff, 0xff, 0xff}
			copy(read[:], q.second.bytes)
			if pid, err = decodePID(int32(word(read[:], 0)), q.second.length); err != nil {
				return ids{Err: err}
			}
		}
		return ids{PID: pid, UID: uid, GID: gid}
	}},
	{"freebsd", "FreeBSD xucred", 88, 92, 0, 1, func(q question) ids {
		x := poisonedFreeBSDXucred()
		copy(bytesOf(&x), q.first.bytes)
		return decoded(x.decode(q.first.length))
	}},
	{"dragonfly", "DragonFly xucred", 88, 92, 0, 1, func(q question) ids {
		x := poisonedFreeBSDXucred()
		copy(bytesOf(&x), q.first.bytes)
		uid, gid, err := x.decodeIDs(q.first.length)
		return ids{UID: uid, GID: gid, Err: err}
	}},
	{"openbsd", "OpenBSD sockpeercred", 12, 95, 0xffff, 0x1022, func(q question) ids {
		var c openbsdPeercred
		copy(bytesOf(&c), q.first.bytes)
		if !q.filled(12) {
			return ids{Err: unix.EPROTO}
		}
		return decoded(c.decode())
	}},
	{"netbsd", "NetBSD unpcbid", 12, 96, 0, 3, func(q question) ids {
		if err := q.checkNames(); err != nil {
			return ids{Err: err}
		}
		c := poisonedNetBSDUnpcbid()
		copy(bytesOf(&c), q.first.bytes)
		return decoded(c.decode(q.first.length))
	}},
	{"aix", "AIX peercred_struct", 24, 71, 1, 0x1009, func(q question) ids {
		var c aixPeercred
		copy(bytesOf(&c), q.first.bytes)
		if !q.filled(24) || c.uid != q.euid || c.gid != q.egid {
			return ids{Err: unix.EPROTO}
		}
		got := decoded(c.decode())
		if got.Err == error(errZeroIDs) { // the shim has getpeereid to be sure by
			return ids{PID: c.pid}
		}
		return got
	}},
	{"solaris", "illumos ucred", 12, 71, 0, 0, func(q question) ids {
		if len(q.first.bytes) == 0 { // no ucred at all, where x/sys has no answer to give
			return ids{Err: unix.EPROTO}
		}
		var b [12]byte
		copy(b[:], q.first.bytes)
		return decoded(decodeUcred(int(int32(word(b[:], 0))), int(word(b[:], 4)), int(word(b[:], 8))))
	}},
}

// reply is what the kernel answers to one call.
type reply struct {
	errno  int
	length uint32
	bytes  []byte
}

func (r reply) String() string {
	text := "-"
	if len(r.bytes) > 0 {
		text = hex.EncodeToString(r.bytes)
	}
	return fmt.Sprintf("%d %d %s", r.errno, int32(r.length), text)
}

// aSocket describes the descriptor: a stream socket of the Unix family, unless a field says
// otherwise.
type aSocket struct {
	familyErrno        int // of the call that asks for the family
	family, socketType int
}

// noFamily is AF_UNSPEC, since 0 stands for AF_UNIX here.
const noFamily = -1

func (s aSocket) String() string {
	switch s.family {
	case 0:
		s.family = unix.AF_UNIX
	case noFamily:
		s.family = unix.AF_UNSPEC
	}
	if s.socketType == 0 {
		s.socketType = unix.SOCK_STREAM
	}
	return fmt.Sprint(s.familyErrno, s.family, s.socketType)
}

// The kinds of names in the fake kernel.
const (
	nameless = iota
	named
	namedNUL
	namedForeign
	nameCutShort
	namedLong // 253 bytes, where sun_path has 104
)

// question is a call of the shim, and all answers of the kernel.
type question struct {
	aSocket
	first, second reply
	eidErrno      int
	euid, egid    uint32
	nameErrno     int
	own, peer     int
}

// filled reports whether the kernel wrote all that it should. If x/sys's getter zeroes the
// buffer and hides the length, native knows less than the shim.
func (q question) filled(size int) bool {
	return int(q.first.length) == size && len(q.first.bytes) == size
}

// checkNames is native's decision on the names of NetBSD's two ends.
func (q question) checkNames() error {
	own, err := nameOf(q.own)
	if err != nil {
		return err
	}
	peer, err := nameOf(q.peer)
	if err != nil {
		return err
	}
	return checkAcceptedNames(own, peer)
}

// nameOf is native's decision on what the fake kernel writes for a name of this kind.
func nameOf(kind int) (bool, error) {
	name := socketName{family: unix.AF_UNIX, path: [253]byte{'/'}}
	lengths := map[int]uint32{nameless: 2, named: 3, namedNUL: 3, namedForeign: 3, nameCutShort: 1, namedLong: 255}
	switch kind {
	case namedNUL:
		name.path[0] = 0
	case namedForeign:
		name.family = unix.AF_INET
	}
	name.length = uint8(lengths[kind])
	return name.isNamed(lengths[kind])
}

func (q question) String() string {
	return fmt.Sprintf("c %v %v %v %d %d %d %d %d %d", q.aSocket, q.first, q.second, q.eidErrno, q.euid, q.egid, q.nameErrno, q.own, q.peer)
}

// runningShim is a shim with its kernel, in a process of its own.
type runningShim struct {
	shim
	in  io.Writer
	out *bufio.Reader
}

func run(t testing.TB, s shim) *runningShim {
	cmd := exec.Command(filepath.Join(os.Getenv("PEERCRED_SHIMS"), s.name))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make test-shims builds it)", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &runningShim{s, in, bufio.NewReader(out)}
}

// ask returns the shim's answer with its errno as the machine's own EPROTO, or
// as it is.
func (s *runningShim) ask(t testing.TB, q question) ids {
	t.Helper()
	fmt.Fprintln(s.in, q)
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s died on %v: %v", s.name, q, err)
	}
	var got ids
	var errno, level, option int
	if _, err := fmt.Sscan(line, &errno, &got.PID, &got.UID, &got.GID, &level, &option); err != nil {
		t.Fatalf("%s said %q: %v", s.name, line, err)
	}
	if q.aSocket == (aSocket{}) && q.eidErrno == 0 && (level != s.level || option != s.option) {
		t.Errorf("%s asked for option %#x at level %#x, want %#x at %#x", s.name, option, level, s.option, s.level)
	}
	if errno == 0 {
		return got
	}
	if got.PID != 7 || got.UID != 8 || got.GID != 9 {
		t.Errorf("%s failed with %d and wrote %v", s.name, errno, got)
	}
	if errno == s.proto {
		return ids{Err: unix.EPROTO}
	}
	return ids{Err: syscall.Errno(errno)}
}

// noErrno makes a call of the fake kernel fail without setting errno.
const noErrno = 9999

// honest is a question about a live peer on the accepted end.
func honest(layout string, buffer []byte) question {
	q := question{own: named, first: reply{length: uint32(len(buffer)), bytes: buffer}, second: reply{length: 4, bytes: answer(4, write{0, 4242})}}
	switch layout {
	case "Darwin xucred":
		q.euid, q.egid = word(buffer, 4), word(buffer, 12)
	case "AIX peercred_struct":
		q.euid, q.egid = word(buffer, 16), word(buffer, 20)
	}
	return q
}

// honestAgain makes getpeereid report the ids of the changed answer.
func honestAgain(s shim, q question) question {
	changed := honest(s.layout, q.first.bytes)
	q.euid, q.egid = changed.euid, changed.egid
	return q
}

// idOffsets is where the system puts the ids that it always reports.
func idOffsets(s shim) []int {
	switch s.name {
	case "darwin", "dragonfly":
		return []int{4, 12}
	case "freebsd":
		return []int{4, 12, 80}
	case "aix":
		return []int{0, 16, 20}
	}
	return []int{0, 4, 8}
}

// withPID is q with another pid, where the system reports one.
func withPID(s shim, q question, pid int32) question {
	at, ok := map[string]int{"linux": 0, "netbsd": 0, "aix": 0, "solaris": 0, "openbsd": 8, "freebsd": 80}[s.name]
	switch {
	case ok:
		q.first.bytes = bytes.Clone(q.first.bytes)
		copy(q.first.bytes[at:], answer(4, write{0, uint32(pid)}))
	case s.name == "darwin":
		q.second.bytes = answer(4, write{0, uint32(pid)})
	}
	return q
}

func goodBuffer(s shim) []byte {
	switch s.name {
	case "darwin", "freebsd", "dragonfly":
		b := ngroups(answer(s.size, write{4, 1000}, write{12, 4294967294}), 2)
		if s.size == 88 {
			copy(b[80:], answer(4, write{0, 4242}))
		}
		return b
	case "openbsd":
		return answer(12, write{0, 1000}, write{4, 4294967294}, write{8, 4242})
	case "aix":
		return answer(24, write{0, 4242}, write{16, 1000}, write{20, 4294967294})
	}
	return answer(12, write{0, 4242}, write{4, 1000}, write{8, 4294967294})
}

// The shim returns an honest kernel's answer, and every error of every call, unchanged.
func TestShimsAnswer(t *testing.T) {
	for _, s := range shims {
		t.Run(s.name, func(t *testing.T) {
			r := run(t, s)
			good := honest(s.layout, goodBuffer(s))
			want := ids{PID: 4242, UID: 1000, GID: 4294967294}
			if s.name == "dragonfly" {
				want.PID = 0
			}
			check := func(what string, q question, want ids) {
				t.Helper()
				if diff := cmp.Diff(want.String(), r.ask(t, q).String()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			check("a live peer", good, want)
			for _, errno := range []int{1, 9, 22, 57, 126} {
				q := good
				q.first.errno = errno
				check("the call fails", q, ids{Err: syscall.Errno(errno)})
				if s.name != "linux" { // which asks for no family
					q = good
					q.familyErrno = errno
					check("the family is another", q, ids{Err: syscall.Errno(errno)})
				}
			}
			q := good
			q.first.errno = noErrno
			check("the call fails, and says no errno", q, ids{Err: unix.EPROTO})
			switch s.name {
			case "darwin":
				q := good
				q.second.errno = 57 // ENOTCONN there: the peer has closed
				check("the peer has closed", q, ids{UID: 1000, GID: 4294967294})
				q.second.errno = 9
				check("the pid cannot be asked", q, ids{Err: syscall.Errno(9)})
			case "netbsd":
				kinds := []int{nameless, named, namedNUL, namedForeign, nameCutShort, namedLong}
				for _, own := range kinds {
					for _, peer := range kinds {
						q := good
						q.own, q.peer = own, peer
						want := s.decode(q)
						if want.Err == error(errConnectingEnd) { // the errno that cpeercred knows it by
							const eopnotsupp = 45
							want.Err = syscall.Errno(eopnotsupp)
						}
						check(fmt.Sprintf("its own name is of kind %d, the peer's of kind %d", own, peer), q, want)
					}
				}
				for _, own := range []int{named, namedLong} {
					q := good
					q.own = own
					check("the accepted end", q, want)
				}
				for what, names := range map[string][2]int{"own": {-1, nameless}, "peer's": {named, -1}} {
					q := good
					q.nameErrno, q.own, q.peer = 57, names[0], names[1]
					check("the "+what+" name cannot be asked", q, ids{Err: syscall.Errno(57)})
				}
			}
			if s.name == "darwin" || s.name == "aix" {
				q := good
				q.euid++
				check("getpeereid says another uid", q, ids{Err: unix.EPROTO})
				q = good
				q.egid-- // one more would be -1, which is refused by itself
				check("getpeereid says another gid", q, ids{Err: unix.EPROTO})
				q = good
				q.eidErrno = 22
				check("getpeereid fails", q, ids{Err: syscall.Errno(22)})
			}
			for pid := range int32(2) {
				q := withPID(s, good, pid)
				want := ids{PID: pid, UID: 1000, GID: 4294967294}
				switch s.name {
				case "openbsd", "netbsd", "aix": // which always report one
					if pid == 0 {
						want = ids{Err: unix.EPROTO}
					}
				case "dragonfly":
					want.PID = 0
				}
				check(fmt.Sprintf("pid %d", pid), q, want)
			}
			for _, at := range idOffsets(s) {
				q := good
				q.first.bytes = bytes.Clone(good.first.bytes)
				copy(q.first.bytes[at:], answer(4, write{0, noID}))
				q = honestAgain(s, q)
				want := ids{Err: unix.EPROTO}
				if s.name == "linux" && at > 0 {
					want.Err = unix.ENOTCONN
				}
				check(fmt.Sprintf("-1 at offset %d", at), q, want)
			}
			for _, length := range []uint32{0, 1, uint32(s.size) - 1, uint32(s.size) + 1} {
				if s.name != "solaris" { // whose call has no length
					q := good
					q.first.length = length
					check(fmt.Sprintf("length %d", length), q, ids{Err: unix.EPROTO})
				}
			}
			if s.name == "darwin" {
				for what, second := range map[string]reply{
					"a pid cut short":  {length: 2, bytes: answer(4, write{0, 4242})},
					"a pid unwritten":  {length: 4},
					"a negative pid":   {length: 4, bytes: answer(4, write{0, noID})},
					"a pid too long":   {length: 8, bytes: answer(4, write{0, 4242})},
					"a pid of nothing": {length: 0},
				} {
					q := good
					q.second = second
					check(what, q, ids{Err: unix.EPROTO})
				}
			}
			if s.size >= 76 {
				for _, version := range []uint32{1, noID} {
					q := good
					q.first.bytes = bytes.Clone(good.first.bytes)
					copy(q.first.bytes, answer(4, write{0, version}))
					check(fmt.Sprintf("a structure of version %d", version), q, ids{Err: unix.EPROTO})
				}
				q := good
				q.first.bytes = ngroups(answer(12), 1)
				q.euid, q.egid = 0, 0
				check("root, of whose groups none was written", q, ids{Err: unix.EPROTO})
			}
			if s.name == "solaris" {
				q := good
				q.first.bytes = nil
				check("success without a ucred", q, ids{Err: unix.EPROTO})
			} else {
				for _, written := range []int{0, 4, 8} {
					q := good
					q.first.bytes = make([]byte, written)
					q.euid, q.egid = 0, 0
					want := ids{Err: unix.EPROTO}
					if s.name == "linux" && written > 0 { // a pid, and ids of -1
						want.Err = unix.ENOTCONN
					}
					check(fmt.Sprintf("success with the full length and %d bytes of zeroes", written), q, want)
				}
			}
		})
	}
}

// FuzzShims asks a shim and this package's decoder about the same bytes.
func FuzzShims(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for i, s := range shims {
		f.Add(uint8(i), uint32(s.size), goodBuffer(s), []byte{1, 2, 0, 0}, uint32(4))
		f.Add(uint8(i), uint32(44), ipOptions(), []byte{1, 2, 0, 0}, uint32(4))
		for range 30 {
			buffer := goodBuffer(s)
			for range 1 + random.IntN(3) {
				buffer[random.IntN(len(buffer))] = byte(random.Uint32())
			}
			f.Add(uint8(i), uint32(s.size), buffer, []byte{1, 2, 3, byte(random.Uint32())}, uint32(4))
			f.Add(uint8(i), random.Uint32N(100), buffer[:random.IntN(len(buffer))], []byte{}, random.Uint32N(6))
		}
	}
	var running []*runningShim
	for _, s := range shims {
		running = append(running, run(f, s))
	}
	f.Fuzz(func(t *testing.T, which uint8, length uint32, buffer, pid []byte, pidLength uint32) {
		s := running[int(which)%len(running)]
		buffer, pid = buffer[:min(len(buffer), s.size)], pid[:min(len(pid), 4)]
		whole := make([]byte, s.size)
		copy(whole, buffer)
		q := honest(s.layout, whole)
		q.first = reply{length: length, bytes: buffer}
		q.second = reply{length: pidLength, bytes: pid}
		got, want := s.ask(t, q), s.decode(q)
		if got != want {
			t.Errorf("%s, %v: the shim says %v, native %v", s.name, q, got, want)
		}
	})
}
