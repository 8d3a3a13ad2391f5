package guard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

func init() {
	roles["send"] = helperSend
	roles["write to 3"] = func(role) error { _, err := unix.Write(3, []byte("written by another")); return err }
}

// helperSend sends a datagram to Address.
func helperSend(r role) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	return unix.Sendto(fd, fmt.Appendf(nil, "uid %d", os.Getuid()), 0, &unix.SockaddrUnix{Name: r.Address})
}

func listenPacketAt(t *testing.T, address string, config Config) *PacketConn {
	t.Helper()
	c, err := ListenPacket(t.Context(), "unixgram", address, config)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("needs SO_PASSCRED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// sendAs sends a datagram as another user, and returns the pid of the sender.
func sendAs(t *testing.T, uid uint32, address string) (pid int32) {
	t.Helper()
	h := reexec.Start(t, role{Do: "send", Address: address, UID: &uid, GID: &uid})
	h.Finish()
	return h.PID()
}

// Only datagrams of admitted senders are returned, with their senders, in order.
func TestListenPacket(t *testing.T) {
	reexec.NeedRoot(t)
	for _, test := range []struct{ name, address string }{
		{"a path", filepath.Join(openDirectory(t), "s")},
		{"an abstract name", abstract()},
	} {
		t.Run(test.name, func(t *testing.T) {
			denied := make(chan *Denied, 10)
			config := Config{Policy: UIDs(4001, 4003), Mode: 0o666, OnDeny: func(d *Denied) { denied <- d }}
			if strings.HasPrefix(test.address, "@") {
				config.Mode = 0
			}
			c := listenPacketAt(t, test.address, config)
			var pids []int32
			for _, uid := range []uint32{4001, 4002, 0, 4003} {
				pids = append(pids, sendAs(t, uid, test.address))
			}
			var got []peercred.PeerCredentials
			p := make([]byte, 100)
			for range 2 {
				packet, err := c.ReadPacket(p)
				if err != nil {
					t.Fatal(err)
				}
				sender := *packet.Sender.Credentials()
				got = append(got, sender)
				if text := string(p[:packet.N]); text != fmt.Sprintf("uid %d", sender.UID) || packet.From != nil || packet.Files != nil {
					t.Errorf("%q from %v with %v, of uid %d", text, packet.From, packet.Files, sender.UID)
				}
			}
			want := []peercred.PeerCredentials{{PID: pids[0], UID: 4001, GID: 4001}, {PID: pids[3], UID: 4003, GID: 4003}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for n, uid := range []uint32{4002, 0} {
				want := &Denied{Credentials: &peercred.PeerCredentials{PID: pids[1+n], UID: uid, GID: uid}, Rule: "uid 4001 or 4003"}
				if diff := cmp.Diff(want, <-denied); diff != "" {
					t.Errorf("denied (-want +got):\n%s", diff)
				}
			}
			wantCounts := Counts{Accepted: 2, Denied: map[string]uint64{"uid 4001 or 4003": 2}}
			if diff := cmp.Diff(wantCounts, c.Counts()); diff != "" {
				t.Errorf("Counts (-want +got):\n%s", diff)
			}
			if err := c.Close(); err != nil || c.Close() != err {
				t.Errorf("Close: %v, and then %v", err, c.Close())
			}
			if _, err := c.ReadPacket(p); !errors.Is(err, net.ErrClosed) {
				t.Errorf("ReadPacket of a closed PacketConn: %v", err)
			}
			if _, err := os.Lstat(test.address); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket file is still there: %v", err)
			}
		})
	}
}

// A datagram that cannot be used is reported, and the next one is returned.
func TestPacketsThatAreLost(t *testing.T) {
	address := filepath.Join(t.TempDir(), "s")
	early, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	client, err := net.Dial("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	write := func(text string) {
		t.Helper()
		if _, err := client.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("before")
	denied := make(chan *Denied, 10)
	c, err := NewPacketConn(early, Config{Policy: CurrentUser(), OnDeny: func(d *Denied) { denied <- d }})
	if err != nil {
		t.Fatal(err)
	}
	write("too long for it")
	write("fits")
	p := make([]byte, 6)
	packet, err := c.ReadPacket(p)
	if string(p[:packet.N]) != "fits" || err != nil {
		t.Fatalf("%q, %v", p[:packet.N], err)
	}
	for _, want := range []syscall.Errno{unix.ENODATA, unix.EMSGSIZE} {
		d := <-denied
		var lost *peercred.ErrMessageLost
		if !errors.As(d, &lost) || lost.Err != want || !d.Failed || d.Credentials != nil {
			t.Errorf("%v, want %v", d, want)
		}
	}
	if got := c.Counts(); got.Failed != 2 || got.Accepted != 1 {
		t.Errorf("%+v, want 2 that failed and 1 accepted", got)
	}
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}

// Facts that a datagram reports, and those that it does not.
func TestFactsOfASender(t *testing.T) {
	needProcess(t)
	address := filepath.Join(t.TempDir(), "s")
	c := listenPacketAt(t, address, Config{Policy: CurrentUser(), Prefetch: PrefetchProcess, ReceiveDescriptors: true})
	local := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "client"), Net: "unixgram"}
	client, err := net.ListenUnixgram("unixgram", local)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	before := descriptors(t)
	if _, _, err := client.WriteMsgUnix([]byte("x"), unix.UnixRights(1), &net.UnixAddr{Name: address, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	packet, err := c.ReadPacket(p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(net.Addr(local), packet.From); diff != "" {
		t.Errorf("From (-want +got):\n%s", diff)
	}
	if len(packet.Files) != 1 {
		t.Errorf("%d descriptors, want 1", len(packet.Files))
	}
	process, err := packet.Sender.Process()
	if err != nil {
		t.Errorf("Process: %v", err)
	} else if pid, err := process.PID(); pid != int32(os.Getpid()) {
		t.Errorf("the process is %d, %v", pid, err)
	}
	if _, err := packet.Sender.Groups(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Groups: %v", err)
	}
	if _, err := c.WriteTo([]byte("y"), packet.From); err != nil {
		t.Errorf("WriteTo: %v", err)
	}
	if n, err := client.Read(p); string(p[:n]) != "y" {
		t.Errorf("the client got %q, %v", p[:n], err)
	}
	if err := process.Close(); err != nil {
		t.Error(err)
	}
	for _, file := range packet.Files {
		file.Close()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, and %d were before", after, before)
	}
}

// ReadFrom closes what comes with a datagram. What comes with a datagram of a denied sender is
// closed too.
func TestPacketsWithDescriptors(t *testing.T) {
	needProcess(t)
	admit := true
	config := Config{
		Policy: Func("when wanted", func(Peer) error { return deniedUnless(admit) }), OnDeny: func(*Denied) {},
		Prefetch: PrefetchProcess, ReceiveDescriptors: true,
	}
	c := listenPacketAt(t, abstract(), config)
	client, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: abstract(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func() {
		t.Helper()
		if _, _, err := client.WriteMsgUnix([]byte("x"), unix.UnixRights(1, 1, 1), c.LocalAddr().(*net.UnixAddr)); err != nil {
			t.Fatal(err)
		}
	}
	before := descriptors(t)
	send()
	if n, from, err := c.ReadFrom(make([]byte, 10)); n != 1 || from == nil || err != nil {
		t.Errorf("ReadFrom: %d, %v, %v", n, from, err)
	}
	admit = false
	send()
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for c.Counts().Denied["when wanted"] == 0 {
		if packet, err := c.ReadPacket(make([]byte, 10)); err == nil {
			t.Errorf("%+v, want none", packet)
		}
	}
	for descriptors(t) > before {
		runtime.Gosched() // they are closed in the background
	}
}

// Without PrefetchProcess a datagram takes no descriptor for a handle.
func TestSenderWithoutAProcess(t *testing.T) {
	c := listenPacketAt(t, abstract(), Config{Policy: CurrentUser()})
	before := descriptors(t)
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	packet, err := c.ReadPacket(make([]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	if process, err := packet.Sender.Process(); process != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Process: %v, %v, want ErrUnsupported", process, err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, and %d were before", after, before)
	}
}

func TestPacketConfigs(t *testing.T) {
	for _, test := range []struct {
		name, network, address string
		config                 Config
		want                   error
	}{
		{"no policy", "unixgram", "s", Config{}, syscall.EINVAL},
		{"MaxConns", "unixgram", "s", Config{Policy: Nobody(), MaxConns: 1}, syscall.EINVAL},
		{"MaxConnsPerUID", "unixgram", "s", Config{Policy: Nobody(), MaxConnsPerUID: 1}, syscall.EINVAL},
		{"CloseOnExit", "unixgram", "s", Config{Policy: Nobody(), CloseOnExit: true}, syscall.EINVAL},
		{"SameSender", "unixgram", "s", Config{Policy: Nobody(), SameSender: SameUser}, syscall.EINVAL},
		{"PrefetchGroups", "unixgram", "s", Config{Policy: Nobody(), Prefetch: PrefetchGroups}, syscall.EINVAL},
		{"AllowLoopbackTCP", "unixgram", "s", Config{Policy: Nobody(), AllowLoopbackTCP: true}, syscall.EINVAL},
		{"a stream", "unix", "s", Config{Policy: Nobody()}, net.UnknownNetworkError("unix")},
		{"no address", "unixgram", "", Config{Policy: Nobody()}, nil},
		{"a NUL byte", "unixgram", "s\x00", Config{Policy: Nobody()}, syscall.EINVAL},
		{"a mode of an abstract name", "unixgram", "@s", Config{Policy: Nobody(), Mode: 0o600}, syscall.EINVAL},
		{"more than a mode", "unixgram", "s", Config{Policy: Nobody(), Mode: 0o1600}, syscall.EINVAL},
		{"no such directory", "unixgram", "/nowhere/s", Config{Policy: Nobody()}, os.ErrNotExist},
	} {
		c, err := ListenPacket(t.Context(), test.network, test.address, test.config)
		if err == nil {
			c.Close()
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "listen" || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want *net.OpError with %v", test.name, err, test.want)
		}
	}
	stream, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	client, err := net.DialUnix("unix", nil, stream.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	closed, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: abstract(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	good, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: abstract(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	closed.Close()
	for _, test := range []struct {
		name   string
		conn   *net.UnixConn
		config Config
		want   error
	}{
		{"nil", nil, Config{Policy: Nobody()}, syscall.EINVAL},
		{"zero", &net.UnixConn{}, Config{Policy: Nobody()}, syscall.EINVAL},
		{"a stream", client, Config{Policy: Nobody()}, syscall.EINVAL},
		{"closed", closed, Config{Policy: Nobody()}, net.ErrClosed},
		{"with a Mode", good, Config{Policy: Nobody(), Mode: 0o600}, syscall.EINVAL},
		{"without a Policy", good, Config{}, syscall.EINVAL},
		{"with CloseOnExit", good, Config{Policy: Nobody(), CloseOnExit: true}, syscall.EINVAL},
	} {
		if c, err := NewPacketConn(test.conn, test.config); c != nil || !errors.Is(err, test.want) {
			t.Errorf("NewPacketConn, %s: %v, %v, want %v", test.name, c, err, test.want)
		}
	}
	if c, err := ListenPacket(t.Context(), "unixgram", good.LocalAddr().String(), Config{Policy: Nobody()}); c != nil || !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "another process has this name") {
		t.Errorf("an abstract name that is taken: %v, %v, want EADDRINUSE", c, err)
	}
}

func TestSameSenderInWords(t *testing.T) {
	for same, want := range map[SameSender]string{
		AnySender: "bytes of any sender", SameUser: "bytes of the user that connected", SameProcess: "bytes of the process that connected",
	} {
		if got := same.String(); got != want {
			t.Errorf("%d: %q, want %q", same, got, want)
		}
	}
}

// Two processes whose pids are not visible are not the same.
func TestSameProcessWithoutAPID(t *testing.T) {
	if SameProcess.admits(peercred.Sender{UID: 1}, peercred.PeerCredentials{UID: 1}) {
		t.Error("pid 0 is taken for a process")
	}
}

// An HTTP server does not see what another process writes, and closes the connection.
func TestSameSenderOverHTTP(t *testing.T) {
	reexec.NeedRoot(t)
	listener := listenAs(t, Config{Policy: CurrentUser(), SameSender: SameProcess, OnDeny: func(*Denied) {}})
	server := &http.Server{ConnContext: ConnContext, Handler: Require(CurrentUser())(whoAmI)}
	serveHTTP(t, server, func() error { return server.Serve(listener) })
	client := dialPlain(t, listener)
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: host\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(client)
	answer, err := http.ReadResponse(answers, nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	file, err := client.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reexec.Start(t, role{Do: "write to 3"}, withFiles(file)).Finish()
	if rest, err := io.ReadAll(answers); len(rest) > 0 {
		t.Errorf("the server answered %q, %v", rest, err)
	}
	if got := listener.Counts().Denied[SameProcess.String()]; got != 1 {
		t.Errorf("%d denials, want 1", got)
	}
}

// A read returns the bytes of the peer that connected, and fails at those of another.
func TestSameSender(t *testing.T) {
	reexec.NeedRoot(t)
	for _, test := range []struct {
		same     SameSender
		uid      uint32 // of the other writer
		admitted bool
	}{
		{AnySender, 4002, true},
		{SameUser, 0, true},
		{SameUser, 4002, false},
		{SameProcess, 0, false},
		{SameProcess, 4002, false},
	} {
		for _, network := range []string{"unix", "unixpacket"} {
			t.Run(fmt.Sprintf("%s, %v, uid %d", network, test.same, test.uid), func(t *testing.T) {
				denied := make(chan *Denied, 10)
				listener, err := Listen(t.Context(), network, abstract(), Config{Policy: CurrentUser(), SameSender: test.same, OnDeny: func(d *Denied) { denied <- d }})
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				client, err := net.DialUnix(network, nil, listener.Addr().(*net.UnixAddr))
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				if _, err := client.Write([]byte("early")); err != nil {
					t.Fatal(err)
				}
				conn, err := listener.AcceptPeer()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				read := func() (string, error) {
					p := slices.Repeat([]byte("."), 20)
					n, err := conn.Read(p)
					if err != nil && string(p[:1]) != "\x00" && string(p[:1]) != "." {
						t.Errorf("a read that failed left %q", p)
					}
					return string(p[:n]), err
				}
				if got, err := read(); got != "early" || err != nil {
					t.Fatalf("%q, %v, want what the peer wrote", got, err)
				}
				file, err := client.File()
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				reexec.Start(t, role{Do: "write to 3", UID: &test.uid, GID: &test.uid}, withFiles(file)).Finish()
				got, err := read()
				if test.admitted {
					if got != "written by another" || err != nil {
						t.Errorf("%q, %v", got, err)
					}
					return
				}
				var asDenied *Denied
				var op *net.OpError
				if got != "" || !errors.As(err, &asDenied) || !errors.As(err, &op) || op.Op != "read" || asDenied.Rule != test.same.String() || asDenied.Failed {
					t.Errorf("%q, %v, want *Denied", got, err)
				}
				if d := <-denied; d != asDenied {
					t.Errorf("OnDeny got %v", d)
				}
				if _, err := client.Write([]byte("again")); err != nil {
					t.Fatal(err)
				}
				if got, err := read(); got != "" || !errors.As(err, &asDenied) {
					t.Errorf("later: %q, %v, want *Denied", got, err)
				}
				if diff := cmp.Diff(Counts{Accepted: 1, Denied: map[string]uint64{test.same.String(): 1}}, listener.Counts()); diff != "" {
					t.Errorf("Counts (-want +got):\n%s", diff)
				}
			})
		}
	}
}
