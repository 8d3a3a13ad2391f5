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
	"github.com/google/go-cmp/cmp"
)

// Asking while another goroutine closes gives the right credentials or
// net.ErrClosed, nothing else.
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
		t.Errorf("%d answers and %d times net.ErrClosed: they never met", answered.Load(), closed.Load())
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

func askEveryWay(t testing.TB, conn *net.UnixConn, want answer) {
	t.Helper()
	fd := descriptor(t, conn)
	for _, i := range implementations {
		if got := i.ask(fd); got != want {
			t.Fatalf("%s.Credentials = %+v, want %+v", i.name, got, want)
		}
	}
	got, err := peercred.GetPeerCredentials(conn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.credentials(), got); diff != "" {
		t.Fatalf("GetPeerCredentials (-want +got):\n%s", diff)
	}
}

// Finding out about the kernel leaves no descriptor behind.
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

// strangerRole is a peer under other ids if we may take some, else under ours.
func strangerRole(listener *net.UnixListener) (role, answer) {
	ids := ourselves()
	if os.Geteuid() != 0 {
		return role{Do: "connect", Network: "unix", Address: listener.Addr().String()}, ids
	}
	ids.UID, ids.GID = 4242, 2424
	return connectRole(listener, ids.UID, ids.GID), ids
}

func TestManyConnectionsInARow(t *testing.T) {
	const connections = 100_000
	listener := listen(t, "unix")
	r, want := strangerRole(listener)
	r.Do, r.Count = "come and go", connections
	peer := start(t, r)
	want.PID = peer.PID()
	before := openDescriptors(t)
	for range connections / batch {
		for range batch {
			conn, err := listener.AcceptUnix()
			if err != nil {
				t.Fatal(err)
			}
			askEveryWay(t, conn, want)
			conn.Close()
		}
		peer.Expect("a batch")
		peer.Proceed()
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors are open after %d connections, %d were before", after, connections, before)
	}
	peer.Finish()
}

func TestManyConnectionsAtOnce(t *testing.T) {
	const connections = 10_000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < connections+100 {
		t.Skipf("needs %d descriptors, RLIMIT_NOFILE allows %d", connections+100, limit.Max)
	}
	listener := listen(t, "unix")
	r, want := strangerRole(listener)
	r.Count = connections
	peer := start(t, r)
	want.PID = peer.PID()
	before := openDescriptors(t)
	var conns []*net.UnixConn
	for range connections / batch {
		for range batch {
			conn, err := listener.AcceptUnix()
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		peer.Expect("a batch")
		peer.Proceed()
	}
	peer.Expect("connected")
	for _, conn := range conns {
		askEveryWay(t, conn, want)
	}
	if got := openDescriptors(t); got != before+connections {
		t.Errorf("%d descriptors are open with %d connections, %d were before", got, connections, before)
	}
	for _, conn := range conns {
		conn.Close()
	}
	if got := openDescriptors(t); got != before {
		t.Errorf("%d descriptors are open after all, %d were before", got, before)
	}
	peer.Finish()
}

// What cannot be asked for want of descriptors is not said to be available.
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

// helperComeAndGo connects and closes Count times.
func helperComeAndGo(r role) error {
	for n := range r.Count {
		conn, err := net.Dial(r.Network, r.Address)
		if err != nil {
			return err
		}
		conn.Close()
		if (n+1)%batch == 0 {
			reexec.Step("a batch")
		}
	}
	return nil
}

func helperSupportAndNoDescriptor(role) error {
	if err := forbidDescriptors(); err != nil {
		return err
	}
	return reexec.Report(peercred.Support())
}
