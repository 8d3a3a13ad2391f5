package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

func init() {
	roles["serve TCP"] = helperServeTCP
	roles["resolve"] = helperResolve
}

// helperServeTCP listens, accepts one connection when it may, and reports how many bytes
// were sent to it.
func helperServeTCP(r role) error {
	listener, err := net.Listen("tcp", r.Address)
	if err != nil {
		return err
	}
	reexec.Step(strconv.Quote(listener.Addr().String()))
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	sent, _ := io.ReadAll(conn)
	return reexec.Report(len(sent))
}

// needTCP skips a test where the kernel does not report the uid of TCP peers, and where it
// has no such loopback address.
func needTCP(t testing.TB, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil { // also without IPv6 or /etc/hosts
		t.Skipf("needs tcp on %s: %v", address, err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := peercred.GetLoopbackPeerUID(server); err != nil {
		t.Skipf("needs tcp_diag: %v", err)
	}
}

func listenOnTCP(t testing.TB, address string, config Config) *Listener {
	t.Helper()
	needTCP(t, address)
	listener, err := Listen(t.Context(), "tcp", address, quiet(config))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, listener)
	return listener
}

var loopbackHosts = []string{"127.0.0.1:0", "[::1]:0", "localhost:0"}

// peerOnTCP is one of this process.
func peerOnTCP(t testing.TB) (peer *Conn, client net.Conn) {
	t.Helper()
	listener := listenOnTCP(t, "127.0.0.1:0", Config{Policy: everybody()})
	client = dialAny(t, listener)
	return acceptPeer(t, listener), client
}

// Real peers under three users. The kernel tells their uids and nothing else.
func TestListenTCP(t *testing.T) {
	reexec.NeedRoot(t)
	for _, address := range loopbackHosts {
		t.Run(address, func(t *testing.T) {
			denials := make(chan *Denied, 3)
			listener := listenOnTCP(t, address, Config{Policy: UIDs(4242, 4243), OnDeny: func(d *Denied) { denials <- d }})
			if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
				t.Errorf("it listens on %v", listener.Addr())
			}
			welcome(t, listener)
			for _, test := range []struct {
				uid, gid uint32
				says     string
			}{{4242, 0, "welcome"}, {4243, 2424, "welcome"}, {4244, 4242, "denied"}, {0, 4242, "denied"}} {
				peer := reexec.Start(t, role{Do: "connect", Network: "tcp", Address: listener.Addr().String(), UID: &test.uid, GID: &test.gid})
				peer.Expect(test.says)
				peer.Finish()
				if test.says == "welcome" {
					continue
				}
				d := <-denials
				if d.Credentials != nil || d.Failed || d.Err != nil || d.Loopback == nil || d.Loopback.UID == nil || *d.Loopback.UID != test.uid || !d.Loopback.Address.Addr().IsLoopback() {
					t.Errorf("of uid %d: %+v", test.uid, d)
				}
			}
			want := Counts{Accepted: 2, Denied: map[string]uint64{"uid 4242 or 4243": 2}}
			if diff := cmp.Diff(want, listener.Counts()); diff != "" {
				t.Errorf("Counts (-want +got):\n%s", diff)
			}
		})
	}
}

// A TCP peer has a uid and an address. Every other fact is an error, also when the
// connection is closed.
func TestPeerOnTCP(t *testing.T) {
	conn, client := peerOnTCP(t)
	for range 2 {
		peer := conn.Peer()
		if uid, err := peer.UID(); err != nil || uid != uint32(os.Geteuid()) {
			t.Errorf("UID = %d, %v", uid, err)
		}
		if got := peer.Credentials(); got != nil {
			t.Errorf("Credentials = %v, want nil", got)
		}
		_, groups := peer.Groups()
		_, label := peer.SecurityLabel()
		process, noProcess := peer.Process()
		_, gid := peer.gid()
		_, pid := peer.pid()
		if process != nil {
			t.Errorf("Process = %v, want nil", process)
		}
		for fact, err := range map[string]error{"groups": groups, "security label": label, "process": noProcess, "gid": gid, "pid": pid} {
			if want := "a TCP connection does not report the " + fact; !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission) || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		want := fmt.Sprintf("uid=%d address=%v", os.Geteuid(), client.LocalAddr())
		if got := peer.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})).Info("x", "peer", peer)
		wantLog := fmt.Sprintf("level=INFO msg=x peer.uid=%d peer.address=%v\n", os.Geteuid(), client.LocalAddr())
		if diff := cmp.Diff(wantLog, log.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		conn.Close()
	}
	if uid, err := (Peer{}).UID(); err == nil {
		t.Errorf("UID of the zero Peer = %d", uid)
	}
}

// Policies about the user decide. All others cannot, and admit nobody, root included.
func TestPoliciesOnTCP(t *testing.T) {
	conn, client := peerOnTCP(t)
	uid := uint32(os.Geteuid())
	us, err := user.LookupId(fmt.Sprint(uid))
	if err != nil {
		t.Skipf("needs a name of uid %d: %v", uid, err)
	}
	users, err := Users(us.Username)
	if err != nil {
		t.Fatal(err)
	}
	names, err := GroupNames("root")
	if err != nil {
		t.Fatal(err)
	}
	const noGID = "a TCP connection does not report the gid"
	const noLabel = "security label: a TCP connection does not report the security label"
	withGroup := Func("ours", func(p Peer) error { _, err := p.Groups(); return err })
	for _, test := range []struct {
		policy Policy
		denied bool
		why    string // if it could not decide
	}{
		{UIDs(uid), false, ""},
		{UIDs(uid + 1), true, ""},
		{UIDs(), true, ""},
		{users, false, ""},
		{CurrentUser(), false, ""},
		{Nobody(), true, ""},
		{Policy{}, true, ""},
		{GIDs(0, uint32(os.Getegid())), true, noGID},
		{Groups(0, uint32(os.Getegid())), true, noGID},
		{names, true, noGID},
		{PIDs(0, int32(os.Getpid())), true, "a TCP connection does not report the pid"},
		{Labels("", "unconfined"), true, noLabel},
		{GIDs(), true, ""},
		{Groups(), true, ""},
		{PIDs(), true, ""},
		{Labels(), true, ""},
		{AllOf(UIDs(uid), GIDs(0)), true, noGID},
		{AnyOf(UIDs(uid+1), GIDs(0)), true, "gid 0: " + noGID},
		{AnyOf(GIDs(0), UIDs(uid)), false, ""},
	} {
		t.Run(test.policy.String(), func(t *testing.T) {
			err := test.policy.Allow(conn.Peer())
			if err == nil {
				if test.denied {
					t.Error("it is admitted")
				}
				return
			}
			d := err.(*Denied)
			if !test.denied || d.Failed != (test.why != "") || d.Failed && d.Err.Error() != test.why {
				t.Errorf("%+v, want %t %q", d, test.denied, test.why)
			}
			want := &LoopbackPeer{Address: netip.MustParseAddrPort(client.LocalAddr().String()), UID: &uid}
			if d.Credentials != nil || d.Loopback == nil || d.Loopback.String() != want.String() {
				t.Errorf("denied: %v, %v, want %v", d.Credentials, d.Loopback, want)
			}
		})
	}
	if err := withGroup.Allow(conn.Peer()); !isDenied(err) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a rule that asks for the groups: %v, want *Denied", err)
	}
	// What a hook gets is a copy.
	err = Nobody().Allow(conn.Peer())
	*err.(*Denied).Loopback.UID = uid + 1
	if got, err := conn.Peer().UID(); got != uid || err != nil {
		t.Errorf("UID = %d, %v", got, err)
	}
}

// A denial names the uid and address. It names the address if the uid is not known.
func TestDeniedOnTCP(t *testing.T) {
	var log bytes.Buffer
	hook := LogDenied(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
	listener := listenOnTCP(t, "127.0.0.1:0", Config{Policy: UIDs(), OnDeny: hook})
	denied := dialAny(t, listener)
	gone := dialAny(t, listener)
	gone.Close() // before it is accepted
	done := make(chan struct{})
	go func() {
		defer close(done)
		listener.Accept()
	}()
	isClosed(t, denied)
	last := dialAny(t, listener) // is accepted after the others
	isClosed(t, last)
	listener.Close()
	<-done
	listener.settle()
	lines := strings.SplitAfter(log.String(), "\n")
	if len(lines) != 4 {
		t.Fatalf("log: %q", lines)
	}
	uid := os.Geteuid()
	want := fmt.Sprintf("level=WARN msg=\"peer denied\" denied.peer.uid=%d denied.peer.address=%v denied.rule=\"uid in an empty list\" denied.failed=false\n", uid, denied.LocalAddr())
	if diff := cmp.Diff(want, lines[0]); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	want = fmt.Sprintf("level=WARN msg=\"peer denied\" denied.peer.address=%v denied.rule=\"a known peer\" denied.failed=true denied.reason=\"failed to get the loopback peer's uid: ", gone.LocalAddr())
	if !strings.HasPrefix(lines[1], want) {
		t.Errorf("log: %s, want %s", lines[1], want)
	}
	if got := listener.Counts(); got.Failed != 1 || got.Denied["uid in an empty list"] != 2 {
		t.Errorf("%+v", got)
	}
	for d, want := range map[*Denied]string{
		{Loopback: &LoopbackPeer{Address: netip.MustParseAddrPort("[::1]:2")}, Rule: "x"}:                      `peer denied, address=[::1]:2, by the rule "x"`,
		{Loopback: &LoopbackPeer{Address: netip.MustParseAddrPort("[::1]:2"), UID: new(uint32(7))}, Rule: "x"}: `peer denied, uid=7 address=[::1]:2, by the rule "x"`,
	} {
		if d.Error() != want {
			t.Errorf("%q, want %q", d.Error(), want)
		}
	}
}

// A config that TCP cannot fulfil, and an address that is not loopback alone, are errors
// that say what to do. Nothing listens.
func TestListenTCPRefuses(t *testing.T) {
	needTCP(t, "127.0.0.1:0")
	const other = "is not a loopback address, and the kernel reports the uid of loopback peers alone: use 127.0.0.1, [::1] or localhost"
	ok := "127.0.0.1:0"
	for _, test := range []struct {
		network, address string
		config           Config
		says             string
		errno            error
	}{
		{"tcp", "0.0.0.0:0", Config{}, ": 0.0.0.0 " + other, syscall.EINVAL},
		{"tcp", "[::]:0", Config{}, ": :: " + other, syscall.EINVAL},
		{"tcp", "[::ffff:10.0.0.1]:0", Config{}, "::ffff:10.0.0.1 " + other, syscall.EINVAL},
		{"tcp", "192.0.2.1:0", Config{}, ": 192.0.2.1 " + other, syscall.EINVAL},
		{"tcp", ":0", Config{}, "has no host, which means every address of this machine: use 127.0.0.1", syscall.EINVAL},
		{"tcp", "", Config{}, "missing port", nil},
		{"tcp", "no host:0", Config{}, "no such host", nil},
		{"tcp", "127.0.0.1", Config{}, "missing port", nil},
		{"tcp4", "[::1]:0", Config{}, "::1 has no address for the network tcp4", syscall.EINVAL},
		{"tcp6", ok, Config{}, "127.0.0.1 has no address for the network tcp6", syscall.EINVAL},
		{"tcp", "127.0.0.1:no-such-service", Config{}, "no-such-service", nil},
		{"tcp", ok, Config{Mode: 0o600}, "Mode of the Config has no meaning on TCP", syscall.EINVAL},
		{"tcp", ok, Config{Owner: "root"}, "Owner of the Config has no meaning on TCP", syscall.EINVAL},
		{"tcp", ok, Config{Group: "root"}, "Group of the Config has no meaning on TCP", syscall.EINVAL},
		{"tcp", ok, Config{AllowSharedDirectory: true}, "AllowSharedDirectory of the Config has no meaning on TCP", syscall.EINVAL},
		{"tcp", ok, Config{Prefetch: PrefetchGroups}, "Prefetch of the Config has no meaning on TCP", syscall.EINVAL},
		{"tcp", ok, Config{ReceiveDescriptors: true}, "ReceiveDescriptors of the Config has no meaning on TCP", syscall.EINVAL},
		{"tcp", ok, Config{CloseOnExit: true}, "CloseOnExit requires a handle on the peer's process, and a TCP connection does not report the process", errors.ErrUnsupported},
	} {
		test.config.Policy = Nobody()
		listener, err := Listen(t.Context(), test.network, test.address, test.config)
		_, op := errors.AsType[*net.OpError](err)
		if listener != nil || !op || !strings.Contains(err.Error(), test.says) || test.errno != nil && !errors.Is(err, test.errno) {
			t.Errorf("Listen(%q, %q) = %v, %v, want %q", test.network, test.address, listener, err, test.says)
		}
		if cmp.Equal(test.config, Config{}, cmp.Comparer(func(a, b Policy) bool { return true })) {
			conn, err := Dial(t.Context(), test.network, test.address, everybody())
			_, op := errors.AsType[*net.OpError](err)
			if conn != nil || !op || !strings.Contains(err.Error(), test.says) || test.errno != nil && !errors.Is(err, test.errno) {
				t.Errorf("Dial(%q, %q) = %v, %v, want %q", test.network, test.address, conn, err, test.says)
			}
		}
	}
	if listener, err := Listen(t.Context(), "tcp", ok, Config{}); listener != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Listen without a policy = %v, %v", listener, err)
	}
	taken := listenOnTCP(t, ok, Config{Policy: Nobody()})
	if listener, err := Listen(t.Context(), "tcp", taken.Addr().String(), Config{Policy: Nobody()}); listener != nil || !errors.Is(err, syscall.EADDRINUSE) || strings.Count(err.Error(), "listen tcp") != 1 {
		t.Errorf("Listen at a taken address = %v, %v", listener, err)
	}
}

// helperResolve listens on each of the names while Mount is /etc/hosts, and reports what
// came of it.
func helperResolve(r role) error {
	if err := mountOver(r.Mount, "/etc/hosts"); err != nil {
		return err
	}
	said := map[string]string{}
	for _, name := range r.Names {
		network, address, _ := strings.Cut(name, " ")
		listener, err := Listen(context.Background(), network, address, Config{Policy: Nobody()})
		if err != nil {
			said[name] = err.Error()
			continue
		}
		said[name] = listener.Addr().(*net.TCPAddr).IP.String()
		listener.Close()
	}
	return reexec.Report(said)
}

// All addresses of a name must be loopback. The one to listen on is IPv4, if there is one.
func TestListenTCPByName(t *testing.T) {
	reexec.NeedRoot(t)
	needTCP(t, "localhost:0") // of /etc/hosts
	hosts := filepath.Join(openDirectory(t), "hosts")
	const text = "::1 both\n127.0.0.2 both\n127.0.0.1 mixed\n192.0.2.1 mixed\n::1 six\n192.0.2.1 public\n"
	if err := os.WriteFile(hosts, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	const other = ", and the kernel reports the uid of loopback peers alone: use 127.0.0.1, [::1] or localhost: invalid argument"
	want := map[string]string{
		"tcp both:0":   "127.0.0.2",
		"tcp4 both:0":  "127.0.0.2",
		"tcp6 both:0":  "::1",
		"tcp six:0":    "::1",
		"tcp4 six:0":   "listen tcp4 six:0: six has no address for the network tcp4: invalid argument",
		"tcp mixed:0":  "listen tcp mixed:0: the address 192.0.2.1 of mixed is not a loopback address" + other,
		"tcp6 mixed:0": "listen tcp6 mixed:0: the address 192.0.2.1 of mixed is not a loopback address" + other,
		"tcp public:0": "listen tcp public:0: the address 192.0.2.1 of public is not a loopback address" + other,
	}
	var names []string
	for name := range want {
		names = append(names, name)
	}
	helper := reexec.Start(t, role{Do: "resolve", Mount: hosts, Names: names}, inMountNamespace)
	got := map[string]string{}
	helper.Decode(&got)
	helper.Finish()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where the kernel does not answer about TCP peers, Listen says so at start.
func TestListenTCPWithoutAnswers(t *testing.T) {
	needTCP(t, "127.0.0.1:0")
	seccomp.Need(t)
	netlink := seccomp.Call{Number: unix.SYS_SOCKET, Argument: 0, Value: unix.AF_NETLINK}
	for _, test := range []struct {
		call  seccomp.Call
		errno syscall.Errno
		says  string
	}{
		{netlink, unix.EAFNOSUPPORT, "unavailable on linux: "},
		{seccomp.Any(unix.SYS_SENDTO), unix.EINVAL, "linux: sock_diag(7): invalid argument"}, // like qemu-user
	} {
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "tcp", Address: "127.0.0.1:0", Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{test.errno}})
		helper.Decode(&got)
		helper.Finish()
		if want := "listen tcp 127.0.0.1:0: failed to get the loopback peer's uid: " + test.says; !strings.HasPrefix(got.Err, want) {
			t.Errorf("%q, want %q", got.Err, want)
		}
	}
}

// If no server listens, the error is about the first address.
func TestDialFirst(t *testing.T) {
	needTCP(t, "127.0.0.1:0")
	nobody := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.2:1")}
	conn, err := dialFirst(t.Context(), "tcp", nobody)
	if conn != nil || !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("%v, %v, want ECONNREFUSED of the first", conn, err)
	}
}

// A firewall can drop what we send to ourselves, and then the kernel tries for minutes.
func TestListenTCPWithoutConnections(t *testing.T) {
	needTCP(t, "127.0.0.1:0")
	seccomp.Need(t)
	var got forgedEntry
	helper := reexec.Start(t, role{Do: "listen", Network: "tcp", Address: "127.0.0.1:0", Calls: []seccomp.Call{seccomp.Any(unix.SYS_CONNECT)}, Errnos: []syscall.Errno{unix.EINPROGRESS}})
	helper.Decode(&got)
	helper.Finish()
	if got.Err != "" {
		t.Errorf("%q, want no error", got.Err)
	}
}

// An error has the address as the caller gave it, as those of package net have.
func TestAddressOfAnError(t *testing.T) {
	for network, want := range map[string]net.Addr{"tcp": unresolved{"tcp", ""}, "unix": &net.UnixAddr{Net: "unix"}} {
		_, err := Listen(t.Context(), network, "", Config{Policy: Nobody()})
		op, ok := errors.AsType[*net.OpError](err)
		if !ok {
			t.Fatalf("%s: %v, want a *net.OpError", network, err)
		}
		if diff := cmp.Diff(want, op.Addr, cmp.AllowUnexported(unresolved{})); diff != "" {
			t.Errorf("%s: the address (-want +got):\n%s", network, diff)
		}
	}
}

// misnamed is a listener whose address is of another network.
type misnamed struct{ unwrapping }

func (misnamed) Addr() net.Addr { return &net.UnixAddr{Name: "s", Net: "unix"} }

// NewListener takes a TCP listener only if it is asked to, and only on loopback.
func TestNewListenerOnTCP(t *testing.T) {
	needTCP(t, "127.0.0.1:0")
	config := Config{Policy: CurrentUser(), AllowLoopbackTCP: true}
	everywhere, err := net.ListenTCP("tcp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	if listener, err := NewListener(everywhere, config); listener != nil || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "is not a loopback address") {
		t.Errorf("on every address: %v, %v, want EINVAL", listener, err)
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if listener, err := NewListener(claimsTCP{udp}, config); listener != nil || err == nil || !strings.Contains(err.Error(), "is not on a Unix socket") {
		t.Errorf("a UDP socket that claims to be TCP: %v, %v, want an error", listener, err)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		inner, err := net.Listen("tcp", address) // with Multipath TCP
		if err != nil {
			t.Skipf("needs tcp on %s: %v", address, err)
		}
		if listener, err := NewListener(misnamed{unwrapping{inner}}, config); listener != nil || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("with an address of another network: %v, %v, want EINVAL", listener, err)
		}
		for _, other := range []Config{{Prefetch: PrefetchProcess}, {CloseOnExit: true}, {Mode: 0o600}} {
			other.Policy, other.AllowLoopbackTCP = config.Policy, true
			if listener, err := NewListener(inner, other); listener != nil || err == nil {
				t.Errorf("%+v: %v, %v, want an error", other, listener, err)
			}
		}
		for _, inner := range []net.Listener{inner, unwrapping{inner}} {
			listener := newGuarded(t, inner, config)
			client := dialAny(t, listener)
			conn := acceptPeer(t, listener)
			if uid, err := conn.Peer().UID(); err != nil || uid != uint32(os.Geteuid()) || conn.Peer().Credentials() != nil {
				t.Errorf("%T on %s: UID = %d, %v", inner, address, uid, err)
			}
			if !conn.quick || !listener.quick.Load() {
				t.Error("its connections are closed as if they could hold descriptors")
			}
			client.Close()
		}
		inner.Close()
	}
}

// claimsTCP is a listener on another socket, with the address of TCP on loopback.
type claimsTCP struct{ *net.UDPConn }

func (claimsTCP) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (claimsTCP) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// Inherited takes a TCP socket if it is asked to, and only on loopback.
func TestInheritedOnTCP(t *testing.T) {
	needTool(t, "sh", "dash")
	needTCP(t, "127.0.0.1:0")
	for address, says := range map[string]string{"127.0.0.1:0": "", "0.0.0.0:0": "is not a loopback address"} {
		inner, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		file, err := inner.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var said inheritance
		helper := reexec.Start(t, role{Do: "inherit", Network: "tcp", Names: []string{""}, Count: 5}, asService("LISTEN_PID=$$ LISTEN_FDS=1", file))
		helper.Decode(&said)
		helper.Finish()
		if (said.Err == "") != (says == "") || !strings.Contains(said.Err, says) || says == "" && said.Address != inner.Addr().String() || said.Invalid != (says != "") {
			t.Errorf("%s: %+v, want %q", inner.Addr(), said, says)
		}
	}
}

// Admit does not ask for the peer of a TCP connection. It knows that of a *Conn.
func TestAdmitOnTCP(t *testing.T) {
	conn, client := peerOnTCP(t)
	for _, admitted := range []net.Conn{conn, wrapper{conn}, tls.Server(conn, nil)} {
		again, err := Admit(admitted, CurrentUser())
		if err != nil || again.Peer() != conn.Peer() {
			t.Errorf("%T: %v", admitted, err)
		}
	}
	if got, err := Admit(wrapper{conn}, UIDs()); got != nil || !isDenied(err) {
		t.Errorf("Admit = %v, %v, want *Denied", got, err)
	}
	got, err := Admit(client, everybody())
	if _, ok := errors.AsType[*peercred.ErrNotUnixSocket](err); got != nil || !ok || !isDenied(err) {
		t.Errorf("Admit = %v, %v, want *ErrNotUnixSocket", got, err)
	}
}

// The limits count by uid.
func TestLimitsOnTCP(t *testing.T) {
	reexec.NeedRoot(t)
	denials := make(chan *Denied, 1)
	listener := listenOnTCP(t, "127.0.0.1:0", Config{Policy: everybody(), MaxConnsPerUID: 2, OnDeny: func(d *Denied) { denials <- d }})
	hold := func(uid uint32, count int) *reexec.Process {
		peer := reexec.Start(t, role{Do: "hold", Network: "tcp", Address: listener.Addr().String(), UID: &uid, Count: count})
		peer.Expect("connected")
		return peer
	}
	greedy := hold(4242, 3)
	var open []*Conn
	for range 2 {
		open = append(open, acceptPeer(t, listener))
	}
	modest := hold(4243, 1)
	open = append(open, acceptPeer(t, listener)) // after the third of the greedy user
	d := <-denials
	if got, want := d.Error(), fmt.Sprintf(`peer denied, uid=4242 address=%v, by the rule "at most 2 connections of a uid"`, d.Loopback.Address); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if uid, err := open[2].Peer().UID(); uid != 4243 || err != nil {
		t.Errorf("UID = %d, %v", uid, err)
	}
	open[0].Close()
	another := hold(4242, 1)
	acceptPeer(t, listener)
	want := Counts{Accepted: 4, Denied: map[string]uint64{}, Limited: 1}
	if diff := cmp.Diff(want, listener.Counts()); diff != "" {
		t.Errorf("Counts (-want +got):\n%s", diff)
	}
	for _, peer := range []*reexec.Process{greedy, modest, another} {
		peer.Finish()
	}
}

// serveUIDs serves two routes, for everybody and for uid 4242. It answers with the uid.
func serveUIDs(t *testing.T, listener *Listener, protocols *http.Protocols, secure bool) {
	t.Helper()
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := FromContext(r.Context())
		uid, err := peer.UID()
		fmt.Fprint(w, uid, err)
	})
	mux := http.NewServeMux()
	mux.Handle("/all", Require(everybody())(who))
	mux.Handle("/one", Require(UIDs(4242))(who))
	mux.Handle("/group", Require(GIDs(0))(who))
	server := &http.Server{Handler: mux, ConnContext: ConnContext, Protocols: protocols}
	serve := func() error { return server.Serve(listener) }
	if secure {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	serveHTTP(t, server, serve)
}

func TestHTTPOnTCP(t *testing.T) {
	for _, test := range httpVersions() {
		t.Run(test.name, func(t *testing.T) {
			listener := listenOnTCP(t, "127.0.0.1:0", Config{Policy: CurrentUser()})
			serveUIDs(t, listener, test.protocols, test.scheme == "https")
			client := clientOf(t, listener, test.protocols)
			for route, want := range map[string]string{
				"/all":   fmt.Sprintf("200 %s %d<nil>", test.version, os.Geteuid()),
				"/one":   "403 " + test.version + " ",
				"/group": "500 " + test.version + " ",
			} {
				got := get(t, client, test.scheme+"://host"+route)
				if strings.ReplaceAll(got, " <nil>", "<nil>") != want {
					t.Errorf("%s: %q, want %q", route, got, want)
				}
			}
		})
	}
}

// The real curl, as three users.
func TestCurlOnTCP(t *testing.T) {
	reexec.NeedRoot(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("needs curl: %v", err)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener := listenOnTCP(t, address, Config{Policy: UIDs(4242, 4243)})
		serveUIDs(t, listener, nil, false)
		for _, test := range []struct {
			uid  uint32
			want string
		}{{4242, "200 200"}, {4243, "200 403"}, {4244, "000"}} {
			url := "http://" + listener.Addr().String()
			curl := exec.Command("curl", "-sS", "-g", "--noproxy", "*", "--max-time", "60", "-o", os.DevNull, "-o", os.DevNull, "-w", "%{http_code} ", url+"/all", url+"/one")
			curl.Dir = "/"
			curl.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: test.uid, Gid: 1}}
			out, err := curl.Output()
			if !strings.HasPrefix(string(out), test.want) || (err == nil) != (test.want != "000") {
				t.Errorf("uid %d to %s: %q, %v, want %q", test.uid, address, out, err, test.want)
			}
		}
	}
}

// Dial knows the user who serves, and sends nothing to another.
func TestDialTCP(t *testing.T) {
	reexec.NeedRoot(t)
	needTCP(t, "[::1]:0")
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, uid := range []uint32{4242, 4243} {
			server := reexec.Start(t, role{Do: "serve TCP", Address: address, UID: &uid})
			var at string
			server.Decode(&at)
			server.Proceed()
			conn, err := Dial(t.Context(), "tcp", at, UIDs(4242))
			sent := 0
			if uid == 4242 {
				if err != nil {
					t.Fatal(err)
				}
				if got, err := conn.Peer().UID(); got != uid || err != nil || !conn.quick {
					t.Errorf("the server is %d, %v", got, err)
				}
				if sent, err = conn.Write([]byte("secret")); err != nil {
					t.Error(err)
				}
				conn.Close()
			} else {
				d, _ := errors.AsType[*Denied](err)
				if conn != nil || d == nil || d.Failed || d.Loopback == nil || d.Loopback.UID == nil || *d.Loopback.UID != uid || d.Loopback.Address.String() != at {
					t.Errorf("Dial = %v, %v, want *Denied", conn, err)
				}
			}
			var got int
			server.Decode(&got)
			server.Finish()
			if got != sent {
				t.Errorf("uid %d was sent %d bytes, want %d", uid, got, sent)
			}
		}
	}
}

// stepping tells when a wait for its end begins, and can be ended then.
type stepping struct {
	context.Context
	waits func()
}

func (s stepping) Done() <-chan struct{} {
	s.waits()
	return s.Context.Done()
}

// Dial waits until the server accepts, or its context ends.
func TestDialBeforeAccept(t *testing.T) {
	needTCP(t, "127.0.0.1:0")
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	ctx, cancel := context.WithCancel(t.Context())
	client := dialAny(t, inner)
	_, err = serverUID(stepping{ctx, cancel}, client)
	if want := "the server did not accept the connection, so its user is not known: context canceled"; !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	var server net.Conn
	accept := func() {
		if server == nil {
			if server, err = inner.Accept(); err != nil {
				t.Error(err)
			}
		}
	}
	if uid, err := serverUID(stepping{t.Context(), accept}, client); err != nil || server == nil || uid != uint32(os.Geteuid()) {
		t.Errorf("when the server accepts: %d, %v", uid, err)
	}
	server.Close()

	// The time may be over before the connection is made.
	for limit := 50 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		conn, err := Dial(ctx, "tcp", inner.Addr().String(), everybody())
		cancel()
		if conn != nil || isDenied(err) || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) || limit > patience {
			t.Fatalf("Dial to a server that does not accept = %v, %v", conn, err)
		}
		if strings.Contains(err.Error(), "the server did not accept") {
			break
		}
	}
	defer time.AfterFunc(patience, func() { inner.Close() }).Stop()
	if server, err = inner.Accept(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	isClosed(t, server)
}

// The admitted side of a server of guard, dialled by guard.
func TestDialListenerOnTCP(t *testing.T) {
	listener := listenOnTCP(t, "localhost:0", Config{Policy: CurrentUser()})
	served := make(chan error)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = io.Copy(conn, conn) // until the client closes: a server that has closed is not known
			conn.Close()
		}
		served <- err
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Dial(t.Context(), "tcp", "localhost:"+port, CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 4)
	_, err = io.WriteString(conn, "echo")
	if _, readErr := io.ReadFull(conn, said); err != nil || readErr != nil || string(said) != "echo" {
		t.Errorf("read %q, %v, %v", said, err, readErr)
	}
	conn.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	closed := listenOnTCP(t, "127.0.0.1:0", Config{Policy: CurrentUser()})
	closed.Close()
	if conn, err := Dial(t.Context(), "tcp", closed.Addr().String(), everybody()); conn != nil || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial to nobody = %v, %v, want ECONNREFUSED", conn, err)
	}
}
