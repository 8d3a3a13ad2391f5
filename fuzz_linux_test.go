//go:build !android

package peercred_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
)

// world is a set of sockets that a fuzzer moves through their states.
type world struct {
	t       *testing.T
	fds     []int
	names   []string // what bind was given
	program []byte
}

func (w *world) next() int {
	if len(w.program) == 0 {
		return 0
	}
	b := w.program[0]
	w.program = w.program[1:]
	return int(b)
}

// any is one of the descriptors, or a number that is not a descriptor.
func (w *world) any() int {
	if i := w.next() % (len(w.fds) + 1); i < len(w.fds) {
		return w.fds[i]
	}
	return -1
}

func (w *world) add(fd int, err error) {
	if err == nil {
		w.fds = append(w.fds, fd)
	}
}

var fuzzTypes = []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM}

// step makes one move. A move may fail.
func (w *world) step() {
	const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	switch w.next() % 13 {
	case 0, 1:
		w.add(unix.Socket(unix.AF_UNIX, fuzzTypes[w.next()%3]|flags, 0))
	case 2:
		w.add(unix.Socket([]int{unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}[w.next()%3], []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW}[w.next()%3]|flags, 0))
	case 3:
		if pair, err := unix.Socketpair(unix.AF_UNIX, fuzzTypes[w.next()%3]|flags, 0); err == nil {
			w.fds = append(w.fds, pair[0], pair[1])
		}
	case 4:
		name := abstract()
		if unix.Bind(w.any(), &unix.SockaddrUnix{Name: name}) == nil {
			w.names = append(w.names, name)
		}
	case 5:
		unix.Listen(w.any(), w.next()%4)
	case 6, 7:
		if len(w.names) > 0 {
			unix.Connect(w.any(), &unix.SockaddrUnix{Name: w.names[w.next()%len(w.names)]})
		}
	case 8:
		fd, _, err := unix.Accept4(w.any(), flags)
		w.add(fd, err)
	case 9:
		unix.Shutdown(w.any(), w.next()%3)
	case 10:
		w.add(unix.FcntlInt(uintptr(w.any()), unix.F_DUPFD_CLOEXEC, 3))
	case 11:
		if len(w.fds) > 0 {
			i := w.next() % len(w.fds)
			unix.Close(w.fds[i])
			w.fds = append(w.fds[:i], w.fds[i+1:]...)
		}
	case 12:
		disconnect(w.any())
	}
}

// check asks about a descriptor in every way, and compares the answers with each other. An
// answer must be this process, because there is no other, or an error.
func (w *world) check(fd int) {
	us := ourselves()
	want := implementations[0].ask(fd)
	wantKind, wantKindErr := implementations[0].kind(fd)
	wantCanHavePeer := implementations[0].checkCanHavePeer(fd)
	for _, i := range implementations[1:] {
		if got := i.ask(fd); got != want {
			w.t.Errorf("descriptor %d: the kernel says %s; %s %+v, %s %+v", fd, bareAnswer(fd), implementations[0].name, want, i.name, got)
		}
		if kind, err := i.kind(fd); kind != wantKind || err != wantKindErr {
			w.t.Errorf("descriptor %d: %s.Kind %q, %v, %s.Kind %q, %v", fd, implementations[0].name, wantKind, wantKindErr, i.name, kind, err)
		}
		if err := i.checkCanHavePeer(fd); err != wantCanHavePeer {
			w.t.Errorf("descriptor %d: %s.CheckCanHavePeer %v, %s.CheckCanHavePeer %v", fd, implementations[0].name, wantCanHavePeer, i.name, err)
		}
	}
	if want.Err == "" && want != us {
		w.t.Errorf("descriptor %d: %+v, but only %+v is here", fd, want, us)
	}
	if want.Err != "" && want != (answer{Err: want.Err}) {
		w.t.Errorf("descriptor %d: %+v: an error with values", fd, want)
	}

	got, err := peercred.GetPeerCredentialsOf(foreign{raw: control(func(f func(uintptr)) error { f(uintptr(fd)); return nil })})
	var notUnix *peercred.ErrNotUnixSocket
	switch {
	case (got == nil) == (err == nil):
		w.t.Errorf("descriptor %d: GetPeerCredentialsOf %v, %v, want either credentials or an error", fd, got, err)
	case wantKindErr == nil && wantKind != "Unix":
		if !errors.As(err, &notUnix) || notUnix.ConnType != wantKind {
			w.t.Errorf("descriptor %d: GetPeerCredentialsOf %v, %v, want *ErrNotUnixSocket{%s}", fd, got, err, wantKind)
		}
	case want.Err != "":
		if err == nil || !strings.HasSuffix(err.Error(), want.Err) {
			w.t.Errorf("descriptor %d: GetPeerCredentialsOf %v, %v, want %s", fd, got, err, want.Err)
		}
	case wantCanHavePeer != nil:
		if !errors.Is(err, wantCanHavePeer) {
			w.t.Errorf("descriptor %d: GetPeerCredentialsOf %v, %v, want %v", fd, got, err, wantCanHavePeer)
		}
	case err != nil || *got != *us.credentials():
		w.t.Errorf("descriptor %d: GetPeerCredentialsOf %v, %v, want %v", fd, got, err, us.credentials())
	}
}

func FuzzSocketStates(f *testing.F) {
	f.Add([]byte{0, 0, 4, 0, 5, 0, 3, 0, 0, 6, 1, 0, 8, 0, 9, 1, 2, 11, 1})      // stream: listen, connect, accept, shut down, close
	f.Add([]byte{0, 1, 4, 0, 5, 0, 0, 0, 1, 6, 1, 0, 11, 0, 8, 0})               // seqpacket, the listener closed first
	f.Add([]byte{0, 2, 4, 0, 0, 2, 6, 1, 0, 3, 2, 11, 0})                        // datagram, connected
	f.Add([]byte{3, 0, 3, 1, 3, 2, 10, 0, 11, 0, 11, 1, 9, 0, 0})                // socketpairs, duplicated, closed
	f.Add([]byte{3, 2, 12, 0, 11, 1, 0, 2, 4, 1, 6, 0, 0})                       // a datagram socketpair, connected to none and to another
	f.Add([]byte{2, 0, 0, 5, 0, 1, 2, 1, 1, 2, 2, 2, 2, 0, 1, 4, 0})             // the others
	f.Add([]byte{0, 0, 4, 0, 5, 0, 0, 0, 0, 6, 1, 0, 0, 0, 6, 2, 0, 8, 0, 8, 0}) // a queue of none
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 256 {
			t.Skip("a longer program shows nothing more")
		}
		w := &world{t: t, program: program}
		defer func() {
			for _, fd := range w.fds {
				unix.Close(fd)
			}
		}()
		for len(w.program) > 0 && !t.Failed() {
			w.step()
			for _, fd := range w.fds {
				w.check(fd)
			}
			w.check(-1)
		}
	})
}
