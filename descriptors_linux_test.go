//go:build !android

package peercred_test

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

// If another goroutine closes the connection during a call, the result is the right
// credentials or net.ErrClosed.
func TestAskWhileClosing(t *testing.T) {
	const rounds, askers = 1000, 64
	want := ourselves().credentials()
	var answered, closed atomic.Int64
	for round := range rounds {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		conn := unixConn(t, fds[0])
		var ready, done sync.WaitGroup
		begin := make(chan struct{})
		for asker := range askers {
			ready.Add(1)
			done.Go(func() {
				ready.Done()
				<-begin
				for range 3 {
					var got *peercred.PeerCredentials
					var err error
					if asker%2 == 0 {
						got, err = peercred.GetPeerCredentials(conn)
					} else {
						got, err = peercred.GetPeerCredentialsOf(struct{ syscall.Conn }{conn})
					}
					switch {
					case err == nil && *got == *want:
						answered.Add(1)
					case got == nil && errors.Is(err, net.ErrClosed):
						closed.Add(1)
						return
					default:
						t.Errorf("%v, %v, want %v or net.ErrClosed", got, err, want)
						return
					}
				}
			})
		}
		ready.Wait()
		close(begin)
		for range round % askers { // so that some answer before, on a busy machine too
			runtime.Gosched()
		}
		conn.Close()
		done.Wait()
		unix.Close(fds[1])
	}
	if answered.Load() == 0 || closed.Load() == 0 {
		t.Errorf("%d answers and %d times net.ErrClosed: the calls and Close never overlapped", answered.Load(), closed.Load())
	}
}

// unixConn makes a conn of a descriptor, which it takes over.
func unixConn(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socket")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// AnswersForCaller leaves no descriptor open.
func TestAnswersForCallerLeaksNothing(t *testing.T) {
	before := openDescriptors(t)
	for _, i := range implementations {
		for range 100 {
			if _, err := i.answersForCaller(); err != nil {
				t.Fatal(err)
			}
		}
		if after := openDescriptors(t); after != before {
			t.Errorf("%d descriptors are open after 100 times %s.AnswersForCaller, %d were before", after, i.name, before)
		}
	}
}

// A descriptor that is too high for select(2) works like any other.
func TestHighDescriptor(t *testing.T) {
	const high = 10_000
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, high)
	if errors.Is(err, unix.EINVAL) {
		t.Skipf("needs a descriptor %d, which RLIMIT_NOFILE forbids", high)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, i := range implementations {
		if got := i.ask(fd); got != ourselves() {
			t.Errorf("%s.Credentials = %+v, want %+v", i.name, got, ourselves())
		}
	}
}

// Without a free descriptor Support reports no fact as available.
func TestSupportWithoutDescriptors(t *testing.T) {
	helper := start(t, role{Do: "support and no descriptor"})
	var got peercred.Info
	helper.Decode(&got)
	helper.Finish()
	for name, fact := range got.Facts() {
		if fact.Available {
			t.Errorf("%s is available", name)
		}
	}
	if !strings.Contains(got.UID.Reason, unix.EMFILE.Error()) {
		t.Errorf("the uid: %+v, want the reason %v", got.UID, unix.EMFILE)
	}
}

func helperSupportAndNoDescriptor(role) error {
	if err := forbidDescriptors(); err != nil {
		return err
	}
	return reexec.Report(peercred.Support())
}
