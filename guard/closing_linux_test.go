package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

func init() {
	roles["linger"] = helperLinger
	roles["use a connection"] = helperUse
}

// In these tests a peer makes the kernel take long to close a connection. The peer sends a
// TCP socket that lingers for 300 s and whose own peer does not read. Nobody receives it.

// within fails the test if do takes as long as the peer likes.
func within(t *testing.T, what string, release func(), do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("%s waits for the peer", what)
		release()
		<-done
	}
}

// lingeringConn is an accepted connection whose peer has sent count sockets that linger.
func lingeringConn(t *testing.T, count int) (conn *Conn, release func()) {
	t.Helper()
	inner := listenOpenly(t)
	listener := newGuarded(t, inner, Config{Policy: everybody(), ReceiveDescriptors: true})
	client, err := net.Dial("unix", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn = acceptPeer(t, listener)
	var readers []net.Conn
	err = onDescriptor(client.(*net.UnixConn), func(fd int) (err error) {
		readers, err = sendLingering(fd, count)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	release = func() {
		for _, reader := range readers {
			reader.Close()
		}
	}
	t.Cleanup(release)
	return conn, release
}

// read(2) drops descriptors that come with what it reads, and waits for them itself.
func TestReadOfWhatLingers(t *testing.T) {
	conn, release := lingeringConn(t, 1)
	within(t, "Read", release, func() {
		if n, err := conn.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Errorf("Read = %d, %v, want the byte that the socket came with", n, err)
		}
	})
}

// While another goroutine uses the connection, Close does not close the descriptor itself.
func TestCloseOfWhatLingersWhileInUse(t *testing.T) {
	conn, release := lingeringConn(t, 20)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{}, 1)
	go raw.Read(func(uintptr) bool {
		select {
		case waits <- struct{}{}:
		default:
		}
		return false
	})
	<-waits
	within(t, "Close", release, func() { conn.Close() })
}

// A Read on a connection that can hold descriptors is like any other.
func TestReadOfAConnection(t *testing.T) {
	inner := listenOpenly(t)
	listener := newGuarded(t, inner, Config{Policy: everybody(), ReceiveDescriptors: true})
	client := dialPlain(t, listener)
	conn := acceptPeer(t, listener)
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := conn.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("Read = %q, %v", b[:n], err)
	}
	if n, err := conn.Read(nil); n != 0 || err != nil {
		t.Errorf("Read of nothing = %d, %v", n, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil { // a Read of no data waits
		t.Fatal(err)
	}
	var op *net.OpError
	if n, err := conn.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || op.Op != "read" || !op.Timeout() {
		t.Errorf("Read until its deadline = %d, %v, want that error, of read", n, err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "which nobody reads"); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if n, err := conn.Read(b); n != 0 || !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
		t.Errorf("Read = %d, %v, want ECONNRESET, of read", n, err)
	}
	if n, err := conn.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read at the end = %d, %v, want io.EOF", n, err)
	}
	conn.Close()
	n, err := conn.Read(b)
	_, want := conn.NetConn().Read(b)
	if n != 0 || !errors.Is(err, net.ErrClosed) || err.Error() != want.Error() {
		t.Errorf("Read after Close = %d, %v, want %v, as of package net", n, err, want)
	}
}

// A Read of a connection that another type wraps is that type's.
func TestReadOfAWrappedConnection(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	conn, err := Admit(wrapper{dialPlain(t, listener)}, everybody())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(acceptPeer(t, listener), "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := conn.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("Read = %q, %v", b[:n], err)
	}
}

// A listener that was handed over goes on serving until Close. Its file can be passed to a
// process without making the socket blocking for us.
func TestServingAfterFile(t *testing.T) {
	listener := listenAs(t, Config{Policy: everybody()})
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_ = file.Fd() // as os/exec does with ExtraFiles
	dialPlain(t, listener)
	acceptPeer(t, listener)
	accepting := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		close(accepting)
		_, err := listener.AcceptPeer()
		ended <- err
	}()
	<-accepting
	within(t, "Close", func() { dialPlain(t, listener) }, func() {
		listener.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
}

// A denied peer is closed in the background only if its connection can hold descriptors. On
// a stream they come with data, and a packet can be empty.
func TestClosedInTheBackground(t *testing.T) {
	for _, test := range []struct {
		name, network string
		receives      bool // descriptors
		said          string
		background    bool
	}{
		{"a stream", "unix", true, "", false},
		{"a stream with data", "unix", true, "x", true},
		{"packets", "unixpacket", true, "", true},
		{"a stream with data that refuses descriptors", "unix", false, "x", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !test.receives {
				needPassRights(t)
			}
			reports := make(chan *Denied)
			listener, err := Listen(t.Context(), test.network, abstract(), Config{Policy: Nobody(), OnDeny: func(d *Denied) { reports <- d }, ReceiveDescriptors: test.receives})
			if err != nil {
				t.Fatal(err)
			}
			background := false
			listener.closer = newCloser(0)
			listener.closer.do = func(conn io.Closer) { background = true; closeForeign(conn) }
			client, err := net.Dial(test.network, listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write([]byte(test.said)); err != nil {
				t.Fatal(err)
			}
			go listener.Accept()
			<-reports
			listener.Close()
			listener.settle()
			isClosed(t, client)
			if background != test.background {
				t.Errorf("closed in the background: %v, want %v", background, test.background)
			}
		})
	}
}

// hostile is what a peer does, and what can be read of it after.
var hostile = []struct {
	name string
	do   func(*net.UnixConn) error
	said string
}{
	{"closed", (*net.UnixConn).Close, ""},
	{"never speaks", func(*net.UnixConn) error { return nil }, ""},
	{"shut down for writing", (*net.UnixConn).CloseWrite, ""},
	{"shut down for reading", (*net.UnixConn).CloseRead, ""},
	{"spoke, and is gone", func(c *net.UnixConn) error {
		_, err := io.WriteString(c, "a secret word")
		return errors.Join(err, c.Close())
	}, "a secret word"},
}

// A peer is admitted like any other if it is gone before it is accepted, never sends
// anything, or shuts down half of its connection. Nothing of it is left.
func TestHostilePeersThatAreLetIn(t *testing.T) {
	listener := listenAs(t, Config{Policy: CurrentUser(), Prefetch: PrefetchGroups | PrefetchSecurityLabel | PrefetchProcess})
	before := descriptors(t)
	for _, test := range hostile {
		client := dialPlain(t, listener)
		if err := test.do(client); err != nil {
			t.Fatal(err)
		}
		conn := acceptPeer(t, listener)
		if got := conn.Peer().Credentials(); got.PID != int32(os.Getpid()) {
			t.Errorf("%s: the peer is %v", test.name, got)
		}
		client.Close()
		if said, err := io.ReadAll(conn); string(said) != test.said || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: it said %q, %v", test.name, said, err)
		}
		conn.Close()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

// Such peers are also denied like any other.
func TestHostilePeersThatAreDenied(t *testing.T) {
	reports := make(chan *Denied)
	listener := listenAs(t, Config{Policy: UIDs(), Prefetch: PrefetchGroups | PrefetchSecurityLabel | PrefetchProcess, OnDeny: func(d *Denied) { reports <- d }})
	done := make(chan error)
	before := descriptors(t)
	go func() { _, err := listener.Accept(); done <- err }()
	for _, test := range hostile {
		client := dialPlain(t, listener)
		err := test.do(client)
		if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ENOTCONN) { // it may be denied by now
			t.Fatal(err)
		}
		if d := <-reports; d.Failed || d.Credentials.PID != int32(os.Getpid()) {
			t.Errorf("%s: %v", test.name, d)
		}
		client.Close()
	}
	listener.closer.wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
	listener.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

// needPassRights returns a descriptor to send. It skips the test if the kernel cannot refuse
// descriptors.
func needPassRights(t *testing.T) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1); err != nil {
		t.Skipf("needs SO_PASSRIGHTS, of Linux 6.16: %v", err)
	}
	return fd
}

// If the kernel can refuse descriptors, a peer cannot send any, unless ReceiveDescriptors is
// set.
func TestDescriptorsAreRefused(t *testing.T) {
	fd := needPassRights(t)
	for _, test := range []struct {
		address string
		listen  func(address string, config Config) (*Listener, error)
	}{
		{filepath.Join(t.TempDir(), "s"), listenForUs}, {abstract(), listenForUs}, {abstract(), guardForUs},
	} {
		for _, receive := range []bool{false, true} {
			listener, err := test.listen(test.address, Config{Policy: CurrentUser(), ReceiveDescriptors: receive})
			if err != nil {
				t.Fatal(err)
			}
			client, early := connectAndSend(t, listener.Addr(), fd)
			conn := acceptPeer(t, listener)
			late := unix.Sendmsg(client, []byte{0}, unix.UnixRights(fd), nil, 0)
			for when, sent := range map[string]error{"before": early, "after": late} {
				if want := map[bool]error{false: unix.EPERM, true: nil}[receive]; sent != want {
					t.Errorf("%s, wanted %v: to send a descriptor %s it was accepted: %v, want %v", test.address, receive, when, sent, want)
				}
			}
			if want := !receive; listener.quick.Load() != want {
				t.Errorf("%s, wanted %v: a close is taken for quick: %v, want %v", test.address, receive, listener.quick.Load(), want)
			}
			conn.Close()
			listener.Close()
		}
	}
}

// A close is not taken for quick if the program can let peers send descriptors at any time,
// if the connection gives no access to its socket, or if the peer was earlier than NewListener.
func TestCloseThatMayTakeLong(t *testing.T) {
	needPassRights(t)
	for _, receives := range []bool{true, false} {
		inner := listenOpenly(t)
		raw, err := inner.SyscallConn()
		if err := errors.Join(err, refuseDescriptors("", "", raw)); err != nil {
			t.Fatal(err)
		}
		var outer net.Listener = inner
		if !receives {
			outer = hiding{unwrapping{inner}}
		}
		listener := newGuarded(t, outer, Config{Policy: everybody(), ReceiveDescriptors: receives})
		dialPlain(t, listener)
		if conn := acceptPeer(t, listener); conn.quick || listener.quick.Load() {
			t.Errorf("receives descriptors %v: a close is taken for quick", receives)
		}
	}
	inner := listenOpenly(t)
	dialPlain(t, inner)
	if conn := acceptPeer(t, newGuarded(t, inner, Config{Policy: everybody()})); conn.quick {
		t.Error("a close is taken for quick, although the peer connected before the socket refused descriptors")
	}
}

// hiding accepts connections that hide their sockets.
type hiding struct{ unwrapping }

func (h hiding) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	return wrapper{conn}, err
}

// A socket that cannot refuse descriptors is an error, unless no socket of this kernel can.
func TestDescriptorsThatCannotBeRefused(t *testing.T) {
	if err := refuseDescriptors("", "", noDescriptor{}); !errors.Is(err, unix.EBADF) {
		t.Errorf("refuseDescriptors of no descriptor = %v, want EBADF", err)
	}
	if descriptorsAreRefused(unasked{}) {
		t.Error("descriptorsAreRefused = true, and the kernel could not be asked")
	}
	if descriptorsAreRefused(listenOpenly(t)) {
		t.Error("descriptors are refused on a socket that was not told to refuse them")
	}
}

// helperUse makes calls fail on a connection to itself.
func helperUse(r role) error {
	inner, err := net.Listen("unix", r.Address)
	if err != nil {
		return err
	}
	conn, err := Dial(context.Background(), "unix", r.Address, everybody())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := seccomp.Forge(unix.EPERM, seccomp.Any(unix.SYS_SHUTDOWN)); err != nil {
		return err
	}
	if hasNoDescriptors(conn.Conn) {
		return errors.New("a connection that could not be shut down holds no descriptors")
	}
	conn.quick = false
	err = onDescriptor(conn, func(fd int) error {
		return seccomp.Forge(unix.EINTR, seccomp.Call{Number: unix.SYS_READ, Argument: 0, Value: uint32(fd)})
	})
	if err := errors.Join(err, conn.SetReadDeadline(time.Now().Add(10*time.Millisecond))); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("read(2) is interrupted, and Read = %w, want that it goes on until its deadline", err)
	}
	fmt.Println("done")
	return inner.Close()
}

// A connection that could not be shut down can get descriptors. A Read goes on after a signal.
func TestCallsThatFailOnAConnection(t *testing.T) {
	seccomp.Need(t)
	helper := reexec.Start(t, role{Do: "use a connection", Address: abstract()})
	helper.Expect("done")
	helper.Finish()
}

// unasked has an invalid descriptor, so the kernel cannot be asked about it.
type unasked struct{}

func (unasked) SyscallConn() (syscall.RawConn, error) { return noDescriptor{}, nil }

// noDescriptor hands out a number that is not a descriptor.
type noDescriptor struct{ syscall.RawConn }

func (noDescriptor) Control(f func(uintptr)) error { f(1<<31 - 1); return nil }

// lingeringSocket is such a socket, and the connection of the peer that does not read.
func lingeringSocket() (fd int, reader net.Conn, err error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return -1, nil, err
	}
	defer listener.Close()
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	if reader, err = fill(fd, listener); err != nil {
		unix.Close(fd)
		return -1, nil, err
	}
	return fd, reader, nil
}

// fill connects fd to listener, and sends more than the other end takes.
func fill(fd int, listener *net.TCPListener) (net.Conn, error) {
	err := onDescriptor(listener, func(fd int) error { // which connections inherit
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	})
	if err != nil {
		return nil, err
	}
	address := &unix.SockaddrInet4{Port: listener.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(fd, address); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	reader, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	if n, err := unix.Write(fd, make([]byte, 1<<16)); n < 1<<14 {
		return nil, fmt.Errorf("write(2) took %d bytes, %v", n, err)
	}
	linger := &unix.Linger{Onoff: 1, Linger: 300}
	return reader, errors.Join(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, linger), unix.SetNonblock(fd, false))
}

// sendLingering sends, in a message of its own each, count lingering sockets, which nobody
// else has.
func sendLingering(socket, count int) ([]net.Conn, error) {
	var readers []net.Conn
	for range count {
		fd, reader, err := lingeringSocket()
		if err != nil {
			return readers, err
		}
		readers = append(readers, reader)
		err = unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0)
		if err != nil {
			reader.Close() // or to close fd would take as long
		}
		unix.Close(fd)
		if err != nil {
			return readers, os.NewSyscallError("sendmsg", err)
		}
	}
	return readers, nil
}

// helperLinger connects Count times, each time sends a socket that lingers, and keeps
// everything open.
func helperLinger(r role) error {
	var keep []net.Conn
	for range r.Count {
		conn, err := net.Dial("unix", r.Address)
		if err != nil {
			return err
		}
		keep = append(keep, conn)
		raw, err := conn.(*net.UnixConn).SyscallConn()
		if err != nil {
			return err
		}
		var readers []net.Conn
		var sent error
		err = raw.Control(func(fd uintptr) { readers, sent = sendLingering(int(fd), 1) })
		if err = errors.Join(err, sent); err != nil {
			return err
		}
		keep = append(keep, readers...)
	}
	reexec.Step("connected")
	for _, conn := range keep {
		conn.Close()
	}
	return nil
}

// lingering starts a process that has connected to address count times. If we may, it runs
// as another user.
func lingering(t *testing.T, address string, count int) *reexec.Process {
	t.Helper()
	r := role{Do: "linger", Address: address, Count: count}
	if os.Geteuid() == 0 {
		uid := uint32(1001)
		r.UID, r.GID = &uid, &uid
	}
	attacker := reexec.Start(t, r)
	attacker.Expect("connected")
	return attacker
}

// listenOpenly is a listener of package net, where every user can connect and send.
func listenOpenly(t *testing.T) *net.UnixListener {
	t.Helper()
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: abstract(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	return inner
}

// More connections than are closed at a time wait to be accepted when a listener is
// guarded, as after a restart under socket activation. Each has sent a socket that lingers.
// The next peer is served at once, and all connections are closed while the attacker keeps
// everything open.
func TestBacklogThatLingers(t *testing.T) {
	reexec.NeedRoot(t)
	const most = 600
	inner := listenOpenly(t)
	needBacklog(t, most)
	attacker := lingering(t, inner.Addr().String(), most)
	before := descriptors(t)
	listener := newGuarded(t, inner, Config{Policy: UIDs(0)})
	dialPlain(t, inner)
	acceptPeer(t, listener)
	if got := listener.Counts().Denied["uid 0"]; got != most {
		t.Errorf("%d peers were denied before, want %d", got, most)
	}
	listener.closer.wait()
	if after := descriptors(t); after > before+2 { // the client's and ours
		t.Errorf("%d descriptors are open, and were %d: connections of denied peers are", after, before)
	}
	attacker.Finish()
}

// needBacklog skips where the kernel lets fewer connections wait.
func needBacklog(t *testing.T, count int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skipf("needs to know how many connections may wait: %v", err)
	}
	var most int
	if _, err := fmt.Sscan(string(text), &most); err != nil || most < count {
		t.Skipf("needs %d connections that wait, and /proc/sys/net/core/somaxconn is %d, %v", count, most, err)
	}
}

// Each way to close a connection, or a listener with waiting connections, returns while the
// peer keeps everything open.
func TestCloseOfWhatLingers(t *testing.T) {
	const sockets = 3
	for name, closes := range map[string]func(t *testing.T, inner *net.UnixListener) error{
		"Conn.Close": func(t *testing.T, inner *net.UnixListener) error {
			return acceptPeer(t, newGuarded(t, inner, Config{Policy: everybody(), ReceiveDescriptors: true})).Close()
		},
		"Listener.Close": func(t *testing.T, inner *net.UnixListener) error {
			return newGuarded(t, inner, Config{Policy: everybody()}).Close()
		},
		"Admit": func(t *testing.T, inner *net.UnixListener) error {
			conn, err := inner.Accept()
			if err != nil {
				return err
			}
			if _, err := Admit(conn, Nobody()); !isDenied(err) {
				t.Errorf("Admit = %v, want *Denied", err)
			}
			if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Admit, Close = %v, want net.ErrClosed", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inner := listenOpenly(t)
			client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(client)
			if err := unix.Connect(client, &unix.SockaddrUnix{Name: inner.Addr().String()}); err != nil {
				t.Fatal(err)
			}
			readers, err := sendLingering(client, sockets)
			for _, reader := range readers {
				defer reader.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := closes(t, inner); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that Dial denies cannot keep the client waiting, even if the kernel lets it send
// descriptors, as before Linux 6.16.
func TestDialOfWhatLingers(t *testing.T) {
	inner := listenOpenly(t)
	var readers []net.Conn
	defer func() {
		for _, reader := range readers {
			reader.Close()
		}
	}()
	send := Func("after the server sent", func(Peer) error {
		server, err := inner.AcceptUnix()
		if err != nil {
			return err
		}
		defer server.Close()
		return onDescriptor(server, func(fd int) error {
			readers, err = sendLingering(fd, 1)
			return err
		})
	})
	conn, err := Dial(context.Background(), "unix", inner.Addr().String(), AllOf(send, Nobody()))
	if conn != nil || !isDenied(err) {
		t.Errorf("Dial = %v, %v, want *Denied", conn, err)
	}
}

// blocked is a connection whose Close waits, and is not interrupted.
type blocked struct {
	wrapper
	until <-chan struct{}
}

func (b blocked) Close() error { <-b.until; return b.wrapper.Close() }

// Peers are served however many connections are being closed, and however long that takes.
// The number of threads that close is limited.
func TestAcceptWhileClosersAreBusy(t *testing.T) {
	const most, more = 3, 5
	listener := listenAs(t, Config{Policy: CurrentUser()})
	listener.closer = newCloser(8 * most)
	proceed := make(chan struct{})
	pipe, other := net.Pipe()
	defer other.Close()
	for range most + more {
		listener.closer.close(blocked{wrapper{pipe}, proceed})
	}
	if got := listener.closer.busy(); got != most {
		t.Errorf("%d goroutines are closing, want %d", got, most)
	}
	dialPlain(t, listener)
	acceptPeer(t, listener)
	close(proceed)
	listener.closer.wait()
	if _, err := pipe.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write to what was closed: %v", err)
	}
}

// However many listeners a process has, no more goroutines than that close connections.
func TestListenersShareACloser(t *testing.T) {
	pipe, other := net.Pipe()
	defer other.Close()
	proceed := make(chan struct{})
	most := newCloser(descriptorLimit()).most
	closing := map[*closer]int{}
	for range 2 {
		listener := listenAs(t, Config{Policy: Nobody()})
		listener.quick.Store(false) // as before Linux 6.16
		for range most/2 + 1 {
			listener.closeDenied(blocked{wrapper{pipe}, proceed}, &Denied{})
		}
		closing[listener.closer] = listener.closer.busy()
	}
	close(proceed)
	sum := 0
	for _, busy := range closing {
		sum += busy
	}
	if sum != most {
		t.Errorf("%d goroutines are closing, want %d", sum, most)
	}
}

// A caller waits for a closer only while all its goroutines are busy, and not for long.
func TestWaitForACloser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		c := newCloser(8) // one goroutine
		c.do = func(io.Closer) { <-proceed }
		for _, want := range []time.Duration{0, waitForCloser, waitForCloser} {
			select { // forget that the goroutine took one
			case <-c.took:
			default:
			}
			began := time.Now()
			c.close(nil)
			if got := time.Since(began); got != want {
				t.Errorf("it waits for %v, want %v", got, want)
			}
			synctest.Wait()
		}
		close(proceed)
	})
}

func TestClosersOfAProcess(t *testing.T) {
	for descriptors, want := range map[int]int{0: 1, 7: 1, 64: 8, 4095: 511, 4096: 512, 1 << 20: 512} {
		if strconv.IntSize == 32 {
			want = min(want, 64)
		}
		if got := newCloser(descriptors).most; got != want {
			t.Errorf("of %d descriptors: %d, want %d", descriptors, got, want)
		}
	}
}

// If a foreign Close ends its goroutine, the other connections are still closed.
func TestCloseThatEndsItsGoroutine(t *testing.T) {
	c := newCloser(1)
	pipe, other := net.Pipe()
	defer other.Close()
	c.close(exiting{})
	c.close(pipe)
	if n, err := other.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read = %d, %v, want io.EOF", n, err)
	}
}

type exiting struct{ wrapper }

func (exiting) Close() error { runtime.Goexit(); return nil }

// The last close is interrupted even if there is no descriptor left for a duplicate.
func TestCloseWithoutADuplicate(t *testing.T) {
	for _, socket := range []syscall.Conn{nil, unasked{}} {
		during := ""
		want := errors.New("an error")
		err := closeLast(socket, func() error { during = string(debug.Stack()); return want })
		const locked = "locked to thread"
		if after := string(debug.Stack()); err != want || !strings.Contains(during, locked) || strings.Contains(after, locked) {
			t.Errorf("%T: %v, want %v, on a thread that has the goroutine until then:\n%s\n%s", socket, err, want, during, after)
		}
	}
}

// An interrupter goes on with pauses that grow, and not after stop.
func TestInterrupter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &interrupter{thread: unix.Gettid(), pause: firstInterrupt}
		i.start()
		pause := firstInterrupt
		for _, milliseconds := range []int{2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000} {
			time.Sleep(pause)
			synctest.Wait()
			i.mu.Lock()
			pause = i.pause
			i.mu.Unlock()
			if want := time.Duration(milliseconds) * time.Millisecond; pause != want {
				t.Errorf("its pause is %v, want %v", pause, want)
			}
		}
		i.stop()
		i.interrupt() // as if it had waited for stop
		if i.timer.Stop() {
			t.Error("it goes on after stop")
		}
	})
}

// promptly returns the error of the close. A thread outside of system calls survives the signal.
func TestPromptly(t *testing.T) {
	want := errors.New("an error")
	slow := func() error {
		for began := time.Now(); time.Since(began) < 10*firstInterrupt; {
		}
		return want
	}
	if err := promptly(slow); err != want {
		t.Errorf("promptly = %v, want %v", err, want)
	}
}
