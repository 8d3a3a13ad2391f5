package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

func init() {
	roles["pass on"] = helperPassOn
	roles["watch exits"] = helperWatchExits
}

func needProcess(t testing.TB) {
	t.Helper()
	if process := peercred.Support().Process; !process.Available {
		t.Skipf("needs a handle on the peer's process: %s", process.Reason)
	}
}

// helperPassOn connects, passes the connection to its parent through its third descriptor,
// and stays until the test ends it.
func helperPassOn(r role) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.Address}); err != nil {
		return err
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return err
	}
	reexec.Step("passed on")
	return nil
}

// passOn starts a process that connects to address, and returns its connection as well.
func passOn(t *testing.T, address string) (*reexec.Process, *net.UnixConn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "socketpair")
	process := reexec.Start(t, role{Do: "pass on", Address: address}, withFiles(theirs))
	theirs.Close()
	process.Expect("passed on")
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d control messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%d descriptors, %v", len(fds), err)
	}
	file := os.NewFile(uintptr(fds[0]), "passed on")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return process, conn.(*net.UnixConn)
}

// A connection is closed when the process that made it ends, even if another process has
// it. The connection of a living process stays open.
func TestCloseOnExit(t *testing.T) {
	needProcess(t)
	for _, test := range []struct {
		name string
		ends func(*reexec.Process)
	}{
		{"and was reaped", (*reexec.Process).Finish},
		{"and is a zombie", func(p *reexec.Process) { p.EndStdin() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := listenAs(t, Config{Policy: CurrentUser(), CloseOnExit: true})
			_, longer := passOn(t, listener.Addr().String())
			stays := acceptPeer(t, listener)
			process, client := passOn(t, listener.Addr().String())
			conn := acceptPeer(t, listener)
			if _, err := client.Write([]byte{0}); err != nil {
				t.Errorf("while the process lives: %v", err)
			}
			if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("while the process lives, Read = %d, %v", n, err)
			}
			test.ends(process)
			isClosed(t, client)
			awaitClosed(t, conn)
			if _, err := longer.Write([]byte{0}); err != nil {
				t.Error(err)
			}
			if n, err := stays.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("of a process that lives, Read = %d, %v", n, err)
			}
			if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Close = %v, want net.ErrClosed", err)
			}
		})
	}
}

// awaitClosed waits until Read fails with net.ErrClosed. Before that it may have reached the
// end: a connection whose close may take long is shut down first.
func awaitClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		n, err := conn.Read(make([]byte, 1))
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if n != 0 || err != io.EOF || time.Now().After(deadline) {
			t.Errorf("when the process has ended, Read = %d, %v, want net.ErrClosed", n, err)
			return
		}
	}
}

// A peer whose process ended before it was asked about is denied.
func TestPeerThatEndedBefore(t *testing.T) {
	needProcess(t)
	for name, ends := range map[string]func(*testing.T, *reexec.Process){
		"reaped": func(_ *testing.T, p *reexec.Process) { p.Finish() },
		"zombie": func(t *testing.T, p *reexec.Process) {
			p.EndStdin()
			waitForZombie(t, int(p.PID()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			reports := make(chan *Denied, 1)
			listener := listenAs(t, Config{Policy: CurrentUser(), CloseOnExit: true, OnDeny: func(d *Denied) { reports <- d }})
			process, client := passOn(t, listener.Addr().String())
			pid := process.PID()
			ends(t, process)
			before := descriptors(t)
			go listener.Accept()
			isClosed(t, client)
			d := <-reports
			listener.closer.wait()
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors are open, and were %d: the handle on the process, or the connection, is", after, before)
			}
			_, gone := errors.AsType[*peercred.ErrPeerProcessGone](d)
			if d.Rule != ruleLiving || d.Failed || !gone || d.Credentials == nil || d.Credentials.PID != pid {
				t.Errorf("reported: %+v, want that pid %d has ended", d, pid)
			}
			if got, counted := listener.limits.open, listener.Counts().Denied[ruleLiving]; got != 0 || counted != 1 {
				t.Errorf("%d slots are taken, and %d peers were counted as denied", got, counted)
			}
		})
	}
}

// waitForZombie waits until the process has ended, and does not reap it.
func waitForZombie(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// A peer is denied if its process cannot be watched.
func TestProcessesThatCannotBeWatched(t *testing.T) {
	needProcess(t)
	seccomp.Need(t)
	for _, test := range []struct {
		call   seccomp.Call
		denied bool // else there is no listener
		says   string
	}{
		{seccomp.Call{Number: unix.SYS_EPOLL_CTL, Argument: 1, Value: unix.EPOLL_CTL_ADD}, true, `by the rule "a process that has not ended": `},
		{seccomp.Option(unix.SO_PEERPIDFD), false, "CloseOnExit requires a handle on the peer's process: "},
		{seccomp.Any(unix.SYS_EPOLL_CREATE1), false, "epoll_create1: "},
	} {
		var got forgedEntry
		r := role{Do: "watch exits", Address: abstract(), Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{unix.ENOSPC}}
		reexec.Start(t, r).Decode(&got)
		if got.Denied != test.denied || test.denied && !got.Failed || !strings.Contains(got.Err, test.says) || !strings.HasSuffix(got.Err, "no space left on device") {
			t.Errorf("%+v, want %q", got, test.says)
		}
	}
}

// helperWatchExits makes the calls fail, and reports the error of the listener or the
// denial of a peer. The runtime's poller started earlier, and its calls fail from now on.
func helperWatchExits(r role) error {
	inner, err := net.Listen("unix", r.Address)
	if err != nil {
		return err
	}
	client, err := net.Dial("unix", r.Address)
	if err != nil {
		return err
	}
	defer client.Close()
	conn, err := inner.Accept()
	if err != nil {
		return err
	}
	credentials, denied := admit(conn, everybody())
	if denied != nil {
		return denied
	}
	if r.Calls[0].Number == unix.SYS_EPOLL_CTL { // after the runtime's poller has what it needs
		if _, err := credentials.peer.Process(); err != nil {
			return err
		}
		watch, err := newWatch()
		if err != nil {
			return err
		}
		if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
			return err
		}
		l := Listener{watch: watch}
		return reexec.Report(forgedEntryOf(r.Errnos[0], l.watchExit(credentials)))
	}
	if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
		return err
	}
	_, err = NewListener(inner, Config{Policy: everybody(), CloseOnExit: true})
	return reexec.Report(forgedEntryOf(r.Errnos[0], err))
}

// One goroutine watches all processes, and ends when the listener and all connections are
// closed, in whatever order.
func TestWatchEnds(t *testing.T) {
	needProcess(t)
	for name, last := range map[string]bool{"the listener last": true, "a connection last": false} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			descriptorsBefore := descriptors(t)
			listener := listenAs(t, Config{Policy: CurrentUser(), CloseOnExit: true})
			var conns []*Conn
			for range 50 {
				dialPlain(t, listener).Close()
				conns = append(conns, acceptPeer(t, listener))
			}
			if got := runtime.NumGoroutine(); got > before+1 {
				t.Errorf("%d goroutines, before there were %d: want one more", got, before)
			}
			closes := []func() error{listener.Close}
			for _, conn := range conns {
				closes = append(closes, conn.Close)
			}
			if last {
				closes = append(closes[1:], closes[0])
			}
			for _, end := range closes {
				if err := end(); err != nil {
					t.Error(err)
				}
			}
			for runtime.NumGoroutine() > before {
				runtime.Gosched() // the watch is woken, and ends
			}
			if after := descriptors(t); after > descriptorsBefore {
				t.Errorf("%d descriptors are open, %d were before", after, descriptorsBefore)
			}
		})
	}
}

// The watch goes on without a connection, and waits while nothing happens.
func TestWatchRests(t *testing.T) {
	needProcess(t)
	listener := listenAs(t, Config{Policy: everybody(), CloseOnExit: true})
	for range 2 {
		dialPlain(t, listener)
		acceptPeer(t, listener).Close()
	}
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "[IO wait") && strings.Contains(stack, "(*watch).run(") {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the watch does not wait")
		}
	}
}

// A process is watched even if the listener was closed, but none is watched anew. One that
// cannot be asked about is not said to have ended.
func TestWatchOfAClosedListener(t *testing.T) {
	needProcess(t)
	listener := listenAs(t, Config{Policy: everybody(), CloseOnExit: true})
	process, client := passOn(t, listener.Addr().String())
	conn := acceptPeer(t, listener)
	late, asked, unasked := dialPlain(t, listener), dialPlain(t, listener), dialPlain(t, listener)
	listener.Close()
	for _, test := range []struct {
		conn  *net.UnixConn
		close func(*Conn)
		want  error
	}{
		{late, func(*Conn) {}, os.ErrClosed},
		{asked, func(c *Conn) { c.Peer().Process(); c.Close() }, os.ErrClosed}, // of the handle
		{unasked, func(c *Conn) { c.Close() }, net.ErrClosed},
	} {
		c, err := Admit(test.conn, everybody())
		if err != nil {
			t.Fatal(err)
		}
		test.close(c)
		if err := listener.watch.add(c); !errors.Is(err, test.want) {
			t.Errorf("add = %v, want %v", err, test.want)
		}
		c.Close()
	}
	process.Finish()
	isClosed(t, client)
	awaitClosed(t, conn)
}

// A connection that was closed leaves the watch of another, which has its pidfd by now.
func TestWatchOfAReusedNumber(t *testing.T) {
	needProcess(t)
	listener := listenAs(t, Config{Policy: everybody(), CloseOnExit: true})
	dialPlain(t, listener)
	closed := acceptPeer(t, listener)
	process, client := passOn(t, listener.Addr().String())
	conn := acceptPeer(t, listener)
	closed.pidfd = conn.pidfd
	closed.Close()
	process.Finish()
	isClosed(t, client)
	awaitClosed(t, conn)
}

// A connection ends for its peer at once, even while all closers are busy.
func TestShutDownOnExit(t *testing.T) {
	needProcess(t)
	listener := newGuarded(t, listenOpenly(t), Config{Policy: everybody(), CloseOnExit: true, ReceiveDescriptors: true})
	defer listener.Close()
	listener.watch.closer = newCloser(0)
	listener.watch.closer.most = 0
	process, client := passOn(t, listener.Addr().String())
	acceptPeer(t, listener)
	process.Finish()
	isClosed(t, client)
}

// A late event closes nothing if another descriptor has the number by now.
func TestLateEvent(t *testing.T) {
	needProcess(t)
	listener := listenAs(t, Config{Policy: CurrentUser(), CloseOnExit: true})
	client := dialPlain(t, listener)
	conn := acceptPeer(t, listener)
	listener.watch.ended(conn.pidfd)
	listener.watch.ended(-1)
	listener.watch.closer.wait()
	if _, err := client.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v: it was closed, though its process lives", n, err)
	}
}
