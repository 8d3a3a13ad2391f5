//go:build !android

package peercred_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// owner is what an implementation says of the peer of a TCP connection, for cmp.Diff.
type owner struct {
	UID uint32
	Err string
}

func (i implementation) askOwner(fd int) owner {
	uid, err := i.loopbackPeerUID(fd)
	return owner{uid, errString(err)}
}

func ownedBy(uid uint32) owner { return owner{UID: uid} }

func noOwner(errno unix.Errno) owner { return owner{Err: errno.Error()} }

func askOwners(fd int) map[string]owner {
	owners := map[string]owner{}
	for _, i := range implementations {
		owners[i.name] = i.askOwner(fd)
	}
	return owners
}

// allSay is what askOwners returns if all implementations say the same.
func allSay(o owner) map[string]owner {
	owners := map[string]owner{}
	for _, i := range implementations {
		owners[i.name] = o
	}
	return owners
}

// agreeOnOwner compares every implementation with want.
func agreeOnOwner(t testing.TB, fd int, want owner) {
	t.Helper()
	if diff := cmp.Diff(allSay(want), askOwners(fd)); diff != "" {
		state, uid, inode, err := bareDiag(fd)
		t.Errorf("the kernel says state %d, uid %d, inode %d, %v; LoopbackPeerUID (-want +got):\n%s", state, uid, inode, err, diff)
	}
}

// bareDiag is what the kernel says of the peer of fd, without any code of ours.
func bareDiag(fd int) (state uint8, uid, inode uint32, err error) {
	answer, err := bareDiagAnswer(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	if len(answer) < 16+72 || binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		return 0, 0, 0, unix.Errno(-int32(binary.NativeEndian.Uint32(answer[16:])))
	}
	return answer[17], binary.NativeEndian.Uint32(answer[atUID:]), binary.NativeEndian.Uint32(answer[84:]), nil
}

// Where an answer has the serial number of the question, and the uid.
const atSerial, atUID = 8, 80

func bareDiagAnswer(fd int) ([]byte, error) {
	own, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return nil, err
	}
	diag, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(diag)
	question := make([]byte, 16+56)
	binary.NativeEndian.PutUint32(question, uint32(len(question)))
	binary.NativeEndian.PutUint16(question[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(question[6:], unix.NLM_F_REQUEST)
	question[16], question[17] = unix.AF_INET6, unix.IPPROTO_TCP
	copy(question[20:], "\xff\xff\xff\xff")
	for n, name := range []unix.Sockaddr{peer, own} {
		at := addrPort(name)
		address := at.Addr().As16() // which the kernel takes as IPv4 too
		copy(question[28+16*n:], address[:])
		binary.BigEndian.PutUint16(question[24+2*n:], at.Port())
	}
	copy(question[64:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	if err := unix.Sendto(diag, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(diag, answer, unix.MSG_DONTWAIT)
	return answer[:max(n, 0)], err
}

func addrPort(name unix.Sockaddr) netip.AddrPort {
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), uint16(name.Port))
	}
	return netip.AddrPort{}
}

func socketAddress(at netip.AddrPort, domain int) unix.Sockaddr {
	if domain == unix.AF_INET {
		return &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}
	}
	return &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
}

// needTCPDiag skips where the kernel tells nothing about TCP sockets: tcp_diag can be a
// module, and qemu-user has no such netlink socket.
func needTCPDiag(t testing.TB) {
	t.Helper()
	conn := dialTCP(t)
	if _, _, _, err := bareDiag(descriptor(t, conn)); err != nil {
		t.Skipf("needs tcp_diag: %v", err)
	}
	if _, err := unix.GetsockoptUint64(descriptor(t, conn), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil {
		t.Skipf("needs SO_NETNS_COOKIE: %v", err)
	}
}

// listenTCP listens on a port that the kernel chooses.
func listenTCP(t testing.TB, network, address string) *net.TCPListener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(strings.HasPrefix(network, "mp"))
	network, reusePort := strings.CutSuffix(strings.TrimPrefix(network, "mp"), " reuseport")
	config.Control = func(_, _ string, raw syscall.RawConn) (err error) {
		if reusePort {
			raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		}
		return err
	}
	listener, err := config.Listen(t.Context(), network, net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("needs %s on %s: %v", network, address, err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*net.TCPListener)
}

func acceptTCP(t testing.TB, listener *net.TCPListener) *net.TCPConn {
	t.Helper()
	conn, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// tcpPair returns both ends of a connection within this process.
func tcpPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	listener := listenTCP(t, "tcp4", "127.0.0.1")
	conn, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return acceptTCP(t, listener), conn.(*net.TCPConn)
}

// playTCP is a client or server that takes the steps in Function, one each time it may
// proceed. Its socket is of Network: tcp4, tcp6, mptcp4 or mptcp6.
func playTCP(r role) error {
	fd := 3 // that of ExtraFiles, unless there is a step "socket"
	domain, protocol := unix.AF_INET, 0
	if strings.HasSuffix(r.Network, "6") {
		domain = unix.AF_INET6
	}
	if strings.HasPrefix(r.Network, "mp") {
		protocol = unix.IPPROTO_MPTCP
	}
	at := func(address string) unix.Sockaddr { return socketAddress(netip.MustParseAddrPort(address), domain) }
	linger := &unix.Linger{Onoff: 1}
	steps := map[string]func() error{
		"socket": func() (err error) { fd, err = unix.Socket(domain, unix.SOCK_STREAM, protocol); return },
		"bind": func() error { // the kernel frees a port a moment after it has forgotten the socket
			for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
				if err := unix.Bind(fd, at(r.Local)); !errors.Is(err, unix.EADDRINUSE) || time.Now().After(deadline) {
					return err
				}
			}
		},
		"listen": func() error { return unix.Listen(fd, 1) },
		"accept": func() (err error) { fd, _, err = unix.Accept(fd); return },
		"deaf": func() error { // the kernel drops all that arrives
			drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
			return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
		},
		"connect":    func() error { return unix.Connect(fd, at(r.Address)) },
		"disconnect": func() error { return disconnect(fd) },
		"connecting": func() error {
			if err := unix.SetNonblock(fd, true); err != nil {
				return err
			}
			if err := unix.Connect(fd, at(r.Address)); !errors.Is(err, unix.EINPROGRESS) {
				return fmt.Errorf("connect: %w, want that it is in progress", err)
			}
			return nil
		},
		"setuid": func() error { return reexec.SetUID(*r.Then) },
		"fchown": func() error { return unix.Fchown(fd, int(*r.Then), -1) },
		"may not fchown": func() error {
			if err := unix.Fchown(fd, int(*r.Then), -1); !errors.Is(err, unix.EPERM) {
				return fmt.Errorf("fchown: %w, want that it may not", err)
			}
			return nil
		},
		"write":    func() error { _, err := unix.Write(fd, []byte("x")); return err },
		"shutdown": func() error { return unix.Shutdown(fd, unix.SHUT_WR) },
		"close":    func() error { return unix.Close(fd) },
		"close soon": func() error { // the kernel forgets it after a second
			return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_LINGER2, 1), unix.Close(fd))
		},
		"reset": func() error {
			return errors.Join(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, linger), unix.Close(fd))
		},
		"ask": func() error { return reexec.Report(askOwners(fd)) },
	}
	for step := range strings.SplitSeq(r.Function, ", ") {
		if err := steps[step](); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		reexec.Step(step)
	}
	return nil
}

// tcpPlayer is a running playTCP.
type tcpPlayer struct {
	*helper
	steps []string // still to do
}

func startTCP(t testing.TB, r role, options ...reexec.Option) *tcpPlayer {
	t.Helper()
	r.Do = "play TCP"
	return &tcpPlayer{start(t, r, options...), strings.Split(r.Function, ", ")}
}

// until lets the player do its steps up to this one. It returns what the last "ask" said.
func (p *tcpPlayer) until(step string) (owners map[string]owner) {
	p.t.Helper()
	for {
		next := p.steps[0]
		p.steps = p.steps[1:]
		if next == "ask" {
			p.Decode(&owners)
		}
		p.Expect(next)
		if next == step {
			return owners
		}
		p.Proceed()
	}
}

// next lets the player go on until this step.
func (p *tcpPlayer) next(step string) map[string]owner {
	p.t.Helper()
	p.Proceed()
	return p.until(step)
}

const (
	tcpClient   = 4242
	tcpImpostor = 4343
)

// Both ends see who is at the other, over every kind of loopback connection. A client sees
// nobody until the server has accepted.
func TestLoopbackPeers(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	for _, test := range []struct{ name, listen, address, dial, client string }{
		{"IPv4", "tcp4", "127.0.0.1", "tcp4", ""},
		{"IPv4, another address", "tcp4", "127.0.0.2", "tcp4", ""},
		{"IPv6", "tcp6", "::1", "tcp6", ""},
		{"IPv4 to a listener of both", "tcp", "", "tcp4", "127.0.0.1"},
		{"IPv4 from a socket of both", "tcp4", "127.0.0.1", "tcp6", "::ffff:127.0.0.1"},
		{"IPv4 between sockets of both", "tcp", "", "tcp6", "::ffff:127.0.0.1"},
		{"MPTCP", "mptcp4", "127.0.0.1", "mptcp4", ""},
		{"MPTCP over IPv6", "mptcp6", "::1", "mptcp6", ""},
		{"MPTCP between sockets of both", "mptcp", "", "mptcp6", "::ffff:127.0.0.1"},
		{"MPTCP to a TCP listener", "tcp4", "127.0.0.1", "mptcp4", ""},
		{"TCP to an MPTCP listener", "mptcp4", "127.0.0.1", "tcp4", ""},
		{"SO_REUSEPORT", "tcp4 reuseport", "127.0.0.1", "tcp4", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := listenTCP(t, test.listen, test.address)
			if strings.HasSuffix(test.listen, "reuseport") {
				port := listener.Addr().(*net.TCPAddr).Port
				other := socket(t, unix.AF_INET, unix.SOCK_STREAM)
				err := errors.Join(unix.SetsockoptInt(other, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
					unix.Bind(other, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}))
				if err != nil { // it does not listen, so it gets no connection
					t.Fatal(err)
				}
			}
			to := listener.Addr().(*net.TCPAddr).AddrPort()
			if test.client != "" {
				to = netip.AddrPortFrom(netip.MustParseAddr(test.client), to.Port())
			}
			mptcp := strings.HasPrefix(test.listen, "mp") && strings.HasPrefix(test.dial, "mp")
			told := func(o owner) owner {
				if mptcp {
					return overMPTCP(t, o)
				}
				return o
			}
			uid := uint32(tcpClient)
			client := startTCP(t, role{UID: &uid, GID: &uid, Network: test.dial, Address: to.String(), Function: "socket, connect, ask, ask, shutdown"})
			if diff := cmp.Diff(allSay(told(noOwner(unix.EAGAIN))), client.until("ask")); diff != "" {
				t.Errorf("the client, before it is accepted (-want +got):\n%s", diff)
			}
			server := acceptTCP(t, listener)
			fd := descriptor(t, server)
			want := told(ownedBy(tcpClient))
			agreeOnOwner(t, fd, want)
			if got, err := peercred.GetLoopbackPeerUID(server); got != want.UID || !strings.HasSuffix(errString(err), want.Err) {
				t.Errorf("GetLoopbackPeerUID = %d, %v, want %+v", got, err, want)
			}
			accepted := uint32(4244)
			if mptcp {
				accepted = 0 // the owner of the MPTCP socket is not that of its subflow
			} else if err := unix.Fchown(fd, int(accepted), -1); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(allSay(told(ownedBy(accepted))), client.next("ask")); diff != "" {
				t.Errorf("the client, when it is accepted (-want +got):\n%s", diff)
			}
			client.next("shutdown")
			agreeOnOwner(t, fd, want)
			client.Finish()
			if !strings.HasPrefix(test.dial, "mp") { // whose subflow the kernel keeps for a while
				agreeOnOwner(t, fd, noOwner(unix.ENOTCONN))
			}
		})
	}
}

// overMPTCP returns what an end of an MPTCP connection is told, which is o if the kernel
// tracks no connections.
func overMPTCP(t testing.TB, o owner) owner {
	t.Helper()
	if _, err := unix.GetsockoptInt(socket(t, unix.AF_INET, unix.SOCK_STREAM), unix.SOL_IP, unix.SO_ORIGINAL_DST); err == unix.ENOPROTOOPT {
		return o
	}
	return owner{Err: errMultipath}
}

const errMultipath = "the kernel does not report whether a rule of the firewall (NAT) redirected an MPTCP connection: turn MPTCP off, in Go by net.ListenConfig.SetMultipathTCP(false)"

// The owner is the process that called socket(2), unless root changed the uid.
func TestLoopbackOwner(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	uid, later := uint32(tcpClient), uint32(tcpImpostor)
	for _, test := range []struct {
		name  string
		uid   *uint32
		steps string
		want  uint32
	}{
		{"setuid before connect", nil, "socket, setuid, connect", 0},
		{"setuid after connect", nil, "socket, connect, setuid", 0},
		{"fchown by root", nil, "socket, connect, fchown", tcpImpostor},
		{"fchown by another user", &uid, "socket, connect, may not fchown", tcpClient},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := listenTCP(t, "tcp4", "127.0.0.1")
			client := startTCP(t, role{UID: test.uid, GID: test.uid, Then: &later, Network: "tcp4", Address: listener.Addr().String(), Function: test.steps})
			client.until(client.steps[len(client.steps)-1])
			agreeOnOwner(t, descriptor(t, acceptTCP(t, listener)), ownedBy(test.want))
		})
	}
}

// A client sees who accepted, not who listened. A descriptor that was passed on keeps its
// owner.
func TestLoopbackHandedOn(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	listener := listenTCP(t, "tcp4", "127.0.0.1")
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	client, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	agreeOnOwner(t, descriptor(t, client.(*net.TCPConn)), noOwner(unix.EAGAIN))
	uid := uint32(tcpClient)
	server := startTCP(t, role{UID: &uid, GID: &uid, Function: "accept, ask"}, withFile(file))
	server.until("accept")
	agreeOnOwner(t, descriptor(t, client.(*net.TCPConn)), ownedBy(tcpClient))
	if diff := cmp.Diff(allSay(ownedBy(0)), server.next("ask")); diff != "" {
		t.Errorf("the server (-want +got):\n%s", diff)
	}

	ours, theirs := tcpPair(t)
	if file, err = theirs.File(); err != nil {
		t.Fatal(err)
	}
	holder := startTCP(t, role{UID: &uid, GID: &uid, Function: "ask, close"}, withFile(file))
	holder.until("ask")
	file.Close()
	theirs.Close()
	agreeOnOwner(t, descriptor(t, ours), ownedBy(0))
	holder.next("close")
	agreeOnOwner(t, descriptor(t, ours), noOwner(unix.ENOTCONN))
}

// A socket that listened or was accepted can be connected by whoever has it, and is still
// its maker's. Nothing detects that.
func TestLoopbackConnectedAgain(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	accepted, _ := tcpPair(t)
	uid := uint32(tcpClient)
	for name, made := range map[string]interface{ File() (*os.File, error) }{
		"listened":     listenTCP(t, "tcp4", "127.0.0.1"),
		"was accepted": accepted,
	} {
		t.Run(name, func(t *testing.T) {
			file, err := made.File()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			listener := listenTCP(t, "tcp4", "127.0.0.1")
			client := startTCP(t, role{UID: &uid, GID: &uid, Network: "tcp4", Address: listener.Addr().String(), Function: "disconnect, connect"}, withFile(file))
			client.until("connect")
			agreeOnOwner(t, descriptor(t, acceptTCP(t, listener)), ownedBy(0))
		})
	}
}

// A uid is told as our user namespace maps it.
func TestLoopbackUserNamespaces(t *testing.T) {
	needUserNamespaces(t)
	needTCPDiag(t)
	listener := listenTCP(t, "tcp4", "127.0.0.1")
	const outside = 100_000
	client := startTCP(t, role{Network: "tcp4", Address: listener.Addr().String(), Function: "socket, connect"}, inNamespace(syscall.CLONE_NEWUSER, 0, outside))
	client.until("connect")
	agreeOnOwner(t, descriptor(t, acceptTCP(t, listener)), ownedBy(outside))

	server, theirs := tcpPair(t)
	file, err := server.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for uid, want := range map[int]uint32{0: 65534, outside: 7} {
		if err := unix.Fchown(descriptor(t, theirs), uid, -1); err != nil {
			t.Fatal(err)
		}
		asker := startTCP(t, role{Function: "ask"}, withFile(file), inNamespace(syscall.CLONE_NEWUSER, 7, outside))
		if diff := cmp.Diff(allSay(ownedBy(want)), asker.until("ask")); diff != "" {
			t.Errorf("uid %d, seen from within (-want +got):\n%s", uid, diff)
		}
	}
}

// inNetworkNamespace runs f on a thread in a new network namespace with a loopback device.
func inNetworkNamespace(t *testing.T, f func()) {
	t.Helper()
	reexec.NeedRoot(t)
	var failed error
	var thread sync.WaitGroup
	thread.Go(func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if failed = unix.Unshare(unix.CLONE_NEWNET); failed != nil {
			return
		}
		if failed = setLoopback("lo", [4]byte{127, 0, 0, 1}); failed == nil {
			f()
		}
	})
	thread.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
}

// setLoopback gives a loopback device an address and turns it on.
func setLoopback(name string, address [4]byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := request.SetInet4Addr(address[:]); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, request); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// barePair returns both ends of a connection to an address, and who made them. It uses no
// goroutine, so they belong to the network namespace of this thread.
func barePair(t *testing.T, address [4]byte) (server, client int) {
	t.Helper()
	listener := boundSocket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: address})
	name, err := unix.Getsockname(listener)
	if err == nil {
		err = unix.Listen(listener, 1)
	}
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	client = socket(t, unix.AF_INET, unix.SOCK_STREAM)
	if err = unix.Connect(client, name); err == nil {
		server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { unix.Close(server) })
	return server, client
}

// A connection of another network namespace is an error, because the same addresses can
// belong to somebody else in ours. On a thread that has moved there it has an answer.
func TestLoopbackNetworkNamespaces(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	ours, theirs := barePair(t, [4]byte{127, 0, 0, 1})
	if err := unix.Fchown(theirs, tcpClient, -1); err != nil {
		t.Fatal(err)
	}
	const other = "the connection is in another network namespace than this process"
	agreeOnOwner(t, ours, ownedBy(tcpClient))
	var there int
	inNetworkNamespace(t, func() {
		var client int
		there, client = barePair(t, [4]byte{127, 0, 0, 1})
		if err := unix.Fchown(client, tcpImpostor, -1); err != nil {
			t.Error(err)
		}
		agreeOnOwner(t, there, ownedBy(tcpImpostor))
		agreeOnOwner(t, ours, owner{Err: other})
		agreeOnOwner(t, there, ownedBy(tcpImpostor))
	})
	for range 2 { // a netlink socket of that namespace was kept
		agreeOnOwner(t, ours, ownedBy(tcpClient))
		agreeOnOwner(t, there, owner{Err: other})
	}
	file := foreign{raw: control(func(f func(uintptr)) error { f(uintptr(there)); return nil })}
	_, err := peercred.GetLoopbackPeerUID(file)
	const want = "failed to get the loopback peer's uid: unavailable on linux: sock_diag(7): " + other
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	if errString(err) != want || !errors.As(err, &unavailable) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("GetLoopbackPeerUID: %v, want %s", err, want)
	}
}

// Both ends must have a loopback address, even if they are on the loopback device.
func TestLoopbackOtherAddresses(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	inNetworkNamespace(t, func() {
		if err := setLoopback("lo:1", [4]byte{192, 0, 2, 1}); err != nil {
			t.Error(err)
			return
		}
		server, client := barePair(t, [4]byte{192, 0, 2, 1})
		agreeOnOwner(t, server, noOwner(unix.EADDRNOTAVAIL))
		agreeOnOwner(t, client, noOwner(unix.EADDRNOTAVAIL))
		var notLoopback *peercred.ErrNotLoopback
		_, err := peercred.GetLoopbackPeerUIDOf(foreign{raw: control(func(f func(uintptr)) error { f(uintptr(server)); return nil })})
		if !errors.As(err, &notLoopback) || notLoopback.Got != "TCP over another address" {
			t.Errorf("GetLoopbackPeerUIDOf: %v, want *ErrNotLoopback", err)
		}
	})
}

// After the peer has closed, or our end was reset, nobody is at the other end.
func TestLoopbackPeerGone(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	closeWrite := func(c *net.TCPConn) error { return c.CloseWrite() }
	for _, test := range []struct {
		name, steps string
		act         func(*net.TCPConn) error
		want        owner
		closed      bool // by both, or by the peer
		buffered    bool // a byte can be read
	}{
		{"connected", "write", nil, ownedBy(tcpClient), false, true},
		{"the peer writes no more", "shutdown", nil, ownedBy(tcpClient), false, false},
		{"we write no more", "write", closeWrite, ownedBy(tcpClient), false, true},
		{"neither writes any more", "shutdown", closeWrite, noOwner(unix.ENOTCONN), true, false},
		{"closed", "close", nil, noOwner(unix.ENOTCONN), true, false},
		{"closed, with data", "write, close", nil, noOwner(unix.ENOTCONN), true, true},
		{"reset", "reset", nil, noOwner(unix.ENOTCONN), false, false},
		{"reset, with data", "write, reset", nil, noOwner(unix.ENOTCONN), false, true},
	} {
		for _, network := range []string{"tcp4", "mptcp4"} {
			t.Run(network+"/"+test.name, func(t *testing.T) {
				listener := listenTCP(t, network, "127.0.0.1")
				uid := uint32(tcpClient)
				client := startTCP(t, role{UID: &uid, GID: &uid, Network: network, Address: listener.Addr().String(), Function: "socket, connect, " + test.steps})
				client.until("connect")
				server := acceptTCP(t, listener)
				connected := ownedBy(tcpClient)
				if network == "mptcp4" {
					connected = overMPTCP(t, connected)
				}
				agreeOnOwner(t, descriptor(t, server), connected)
				client.next(client.steps[len(client.steps)-1])
				if test.act != nil {
					if err := test.act(server); err != nil {
						t.Fatal(err)
					}
				}
				agree := func() {
					// The kernel closes the subflow of an MPTCP peer that closed when it likes.
					// Until then the subflow has an owner on Linux 6.18, and none on 6.12.
					got := implementations[0].askOwner(descriptor(t, server))
					stays := got == connected && (test.closed || connected.Err != "") || got == noOwner(unix.EAGAIN) && test.closed
					if network != "mptcp4" || !stays {
						agreeOnOwner(t, descriptor(t, server), test.want)
					}
				}
				agree()
				if n, err := server.Read(make([]byte, 1)); test.buffered && n != 1 {
					t.Errorf("Read: %d, %v, want the byte", n, err)
				}
				agree()
			})
		}
	}
}

// Another process can get the port of a peer that is gone. While our end is connected, the
// kernel connects nobody with the same addresses. But a process can begin to connect, and
// drop our end's refusal.
func TestLoopbackPortReused(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	uid, impostor := uint32(tcpClient), uint32(tcpImpostor)
	for _, test := range []struct {
		name, end, steps string
		state            uint8
	}{
		{"nobody", "close soon", "", 0},
		{"connecting", "close soon", "socket, deaf, fchown, bind, connecting", unix.BPF_TCP_SYN_SENT},
		{"listening", "close soon", "socket, bind, listen", unix.BPF_TCP_LISTEN},
		{"connected after a reset", "reset", "socket, bind, connect", unix.BPF_TCP_ESTABLISHED},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := listenTCP(t, "tcp4", "127.0.0.1")
			to := listener.Addr().String()
			client := startTCP(t, role{UID: &uid, GID: &uid, Network: "tcp4", Address: to, Function: "socket, connect, write, " + test.end})
			client.until("write")
			server := acceptTCP(t, listener)
			fd := descriptor(t, server)
			spy := descriptor(t, server) // for bareDiag, which requires the names
			names := func() (uint8, uint32, error) { state, uid, _, err := bareDiag(spy); return state, uid, err }
			from := server.RemoteAddr().String()
			client.next(test.end)
			if test.end == "close soon" {
				untilForgotten(t, spy)
				agreeOnOwner(t, fd, noOwner(unix.ENOENT))
			}
			if test.steps != "" {
				as := role{UID: &impostor, GID: &impostor, Then: &impostor, Network: "tcp4", Local: from, Address: to, Function: test.steps}
				if test.state == unix.BPF_TCP_SYN_SENT {
					as.UID, as.GID = nil, nil // not every kernel lets a user attach a filter
				}
				other := startTCP(t, as)
				other.until(other.steps[len(other.steps)-1])
				if test.state == unix.BPF_TCP_ESTABLISHED {
					again := acceptTCP(t, listener)
					if again.RemoteAddr().String() != from {
						t.Fatalf("the impostor is at %v, want %s", again.RemoteAddr(), from)
					}
					agreeOnOwner(t, descriptor(t, again), ownedBy(tcpImpostor))
				} else if state, owner, err := names(); state != test.state || owner != tcpImpostor || err != nil {
					t.Errorf("the kernel says state %d, uid %d, %v, want state %d of the impostor", state, owner, err, test.state)
				}
				agreeOnOwner(t, fd, noOwner(unix.ENOTCONN))
			}
			if got, err := peercred.GetLoopbackPeerUID(server); got != 0 || err == nil {
				t.Errorf("GetLoopbackPeerUID = %d, %v, want an error", got, err)
			}
			if n, err := server.Read(make([]byte, 1)); n != 1 {
				t.Errorf("Read: %d, %v, want the byte of the first", n, err)
			}
		})
	}
}

// untilForgotten waits until the kernel has forgotten the peer's socket. While the kernel
// replaces it by a smaller one for its last state, it has none for a moment.
func untilForgotten(t *testing.T, fd int) {
	t.Helper()
	const sure = 1000
	for deadline, missing := time.Now().Add(time.Minute), 0; missing < sure; runtime.Gosched() {
		_, _, _, err := bareDiag(fd)
		switch {
		case errors.Is(err, unix.ENOENT):
			missing++
			continue
		case err != nil || time.Now().After(deadline):
			t.Fatalf("the kernel does not forget the peer's socket: %v", err)
		}
		missing = 0
	}
}

// A socket that is bound to a device can have the addresses of one that is bound to none. It
// is not told as the peer, also when the other is gone.
func TestLoopbackDevices(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	listener := boundSocket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	to, err := unix.Getsockname(listener)
	if err == nil {
		err = unix.Listen(listener, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	dial := func(uid int, device string, from unix.Sockaddr) (server, client int) {
		t.Helper()
		client = socket(t, unix.AF_INET, unix.SOCK_STREAM)
		err := errors.Join(unix.Fchown(client, uid, -1), unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.BindToDevice(client, device), unix.Bind(client, from), unix.Connect(client, to))
		if err == nil {
			server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(server) })
		return server, client
	}
	server, bound := dial(tcpClient, "lo", &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	agreeOnOwner(t, server, noOwner(unix.ENOENT))
	agreeOnOwner(t, bound, ownedBy(0))
	from, err := unix.Getsockname(bound)
	if err != nil {
		t.Fatal(err)
	}
	next, other := dial(tcpImpostor, "", from)
	agreeOnOwner(t, server, noOwner(unix.ENOTCONN)) // the kernel reset it
	agreeOnOwner(t, next, ownedBy(tcpImpostor))
	if _, err := unix.Write(other, []byte("x")); err != nil {
		t.Fatal(err)
	}
	soon := unix.SetsockoptInt(other, unix.IPPROTO_TCP, unix.TCP_LINGER2, 1)
	if err := errors.Join(soon, unix.Dup3(listener, other, unix.O_CLOEXEC)); err != nil { // closes it, and keeps the number
		t.Fatal(err)
	}
	untilForgotten(t, next)
	agreeOnOwner(t, next, noOwner(unix.ENOENT))
	if err := unix.BindToDevice(next, "lo"); err != nil {
		t.Fatal(err)
	}
	agreeOnOwner(t, next, noOwner(unix.ENOENT))
}

// A connection that the listener defers has no owner yet, like one that is not accepted.
func TestLoopbackDeferred(t *testing.T) {
	needTCPDiag(t)
	listener := boundSocket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, err := unix.Getsockname(listener)
	if err == nil {
		err = errors.Join(unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60), unix.Listen(listener, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	client := socket(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Connect(client, name); err != nil {
		t.Fatal(err)
	}
	agreeOnOwner(t, client, noOwner(unix.EAGAIN))
	if state, _, _, err := bareDiag(client); state != unix.BPF_TCP_SYN_RECV || err != nil {
		t.Errorf("the kernel says state %d, %v, want SYN_RECV", state, err)
	}
}

// A socket can be connected to itself, and two can connect to each other at once.
func TestLoopbackWithoutAListener(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	itself := boundSocket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, err := unix.Getsockname(itself)
	if err == nil {
		err = unix.Connect(itself, name)
	}
	if err == nil {
		err = unix.Fchown(itself, tcpClient, -1)
	}
	if err != nil {
		t.Fatal(err)
	}
	agreeOnOwner(t, itself, ownedBy(tcpClient))

	var ends [2]int
	var names [2]unix.Sockaddr
	for n := range ends {
		ends[n] = boundSocket(t, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		if names[n], err = unix.Getsockname(ends[n]); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fchown(ends[n], tcpClient+n, -1); err != nil {
			t.Fatal(err)
		}
	}
	// The first does not hear that nobody listens.
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if err := unix.SetsockoptSockFprog(ends[0], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(ends[0], names[1]); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	agreeOnOwner(t, ends[0], noOwner(unix.ENOTCONN))
	if err := unix.SetsockoptInt(ends[0], unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(ends[1], names[0]); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	agreeOnOwner(t, ends[0], ownedBy(tcpClient+1))
	agreeOnOwner(t, ends[1], ownedBy(tcpClient))
}

// What is not a connected TCP socket is an error before any question.
func TestLoopbackOtherSockets(t *testing.T) {
	udp := socket(t, unix.AF_INET, unix.SOCK_DGRAM)
	if err := unix.Connect(udp, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); err != nil {
		t.Fatal(err)
	}
	listener := boundSocket(t, unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16()})
	if err := unix.Listen(listener, 1); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	for _, test := range []struct {
		name string
		fd   int
		want unix.Errno
	}{
		{"-1", -1, unix.EBADF},
		{"a pipe", descriptor(t, read), unix.ENOTSOCK},
		{"a Unix socket", socketpair(t, unix.SOCK_STREAM)[0], unix.EPROTOTYPE},
		{"a netlink socket", socket(t, unix.AF_NETLINK, unix.SOCK_RAW), unix.EPROTOTYPE},
		{"a UDP socket", udp, unix.EPROTOTYPE},
		{"an unconnected socket", socket(t, unix.AF_INET, unix.SOCK_STREAM), unix.ENOTCONN},
		{"a listener", listener, unix.ENOTCONN},
	} {
		t.Run(test.name, func(t *testing.T) { agreeOnOwner(t, test.fd, noOwner(test.want)) })
	}
	if os.Geteuid() == 0 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			t.Skipf("needs raw sockets: %v", err) // also where another user namespace owns the network
		}
		defer unix.Close(fd)
		agreeOnOwner(t, fd, noOwner(unix.ENOTCONN))
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		agreeOnOwner(t, fd, noOwner(unix.ENOTCONN))
		xfrm, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_XFRM) // whose number is that of TCP
		if err != nil {
			t.Skipf("needs NETLINK_XFRM: %v", err)
		}
		defer unix.Close(xfrm)
		agreeOnOwner(t, xfrm, noOwner(unix.EPROTO))
	}
}

// The public functions take the conns that GetPeerCredentials takes.
func TestGetLoopbackPeerUID(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	server := ownedPair(t)
	file, err := server.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, ask := range map[string]func() (uint32, error){
		"a conn":                 func() (uint32, error) { return peercred.GetLoopbackPeerUID(server) },
		"tls.Conn":               func() (uint32, error) { return peercred.GetLoopbackPeerUID(tls.Server(server, &tls.Config{})) },
		"NetConn":                func() (uint32, error) { return peercred.GetLoopbackPeerUID(nest(server, 15)) },
		"embedding":              func() (uint32, error) { return peercred.GetLoopbackPeerUID(struct{ *net.TCPConn }{server}) },
		"a conn, as syscall":     func() (uint32, error) { return peercred.GetLoopbackPeerUIDOf(server) },
		"a file":                 func() (uint32, error) { return peercred.GetLoopbackPeerUIDOf(file) },
		"a type of another kind": func() (uint32, error) { return peercred.GetLoopbackPeerUIDOf(struct{ syscall.Conn }{server}) },
	} {
		if got, err := ask(); got != tcpClient || err != nil {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tcpClient)
		}
	}
}

func TestNotLoopback(t *testing.T) {
	unixServer, _ := connect(t)
	closed, _ := tcpPair(t)
	closed.Close()
	tcp, _ := tcpPair(t)
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	pipe, _ := net.Pipe()
	for _, test := range []struct {
		name string
		conn net.Conn
		got  string // of *ErrNotLoopback
		is   error
		text string
	}{
		{name: "nil", text: "the connection is nil"},
		{name: "nil *net.TCPConn", conn: (*net.TCPConn)(nil), text: "the connection is nil"},
		{name: "nil *net.UnixConn", conn: (*net.UnixConn)(nil), text: "the connection is nil"},
		{name: "zero net.TCPConn", conn: &net.TCPConn{}, is: syscall.EINVAL},
		{name: "closed", conn: closed, is: net.ErrClosed},
		{name: "too deep", conn: nest(tcp, 16), text: "NetConn"},
		{name: "Unix", conn: unixServer, got: "a Unix socket"},
		{name: "embedded Unix", conn: struct{ *net.UnixConn }{unixServer}, got: "a Unix socket"},
		{name: "UDP", conn: udp, got: "UDP"},
		{name: "embedded UDP", conn: struct{ *net.UDPConn }{udp.(*net.UDPConn)}, got: "UDP"},
		{name: "hidden UDP", conn: hidden{address: &net.UDPAddr{}}, got: "UDP"},
		{name: "hidden Unix", conn: hidden{address: &net.UnixAddr{Net: "unix"}}, got: "a Unix socket"},
		{name: "hidden TCP", conn: hidden{address: &net.TCPAddr{}}, got: "TCP", text: "hides its descriptor"},
		{name: "net.Pipe", conn: pipe, got: "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			uid, err := peercred.GetLoopbackPeerUID(test.conn)
			var notLoopback *peercred.ErrNotLoopback
			switch is := errors.As(err, &notLoopback); {
			case uid != 0 || err == nil:
				t.Errorf("%d, %v, want an error", uid, err)
			case is != (test.got != "") || is && notLoopback.Got != test.got:
				t.Errorf("%v, want *ErrNotLoopback{%q}", err, test.got)
			case is && !strings.HasSuffix(err.Error(), "the peer's uid is only available for TCP over loopback, got "+test.got):
				t.Errorf("%v does not say what it got", err)
			case !is && !strings.HasPrefix(err.Error(), "failed to get the loopback peer's uid: "):
				t.Errorf("%v does not say what failed", err)
			case test.is != nil && !errors.Is(err, test.is), !strings.Contains(err.Error(), test.text):
				t.Errorf("%v, want %v and %q", err, test.is, test.text)
			}
		})
	}
	listener := listenTCP(t, "tcp4", "127.0.0.1")
	const want = "failed to get the loopback peer's uid: linux: sock_diag(7): transport endpoint is not connected (this is a listener: ask about the connection that Accept returns)"
	if _, err := peercred.GetLoopbackPeerUIDOf(listener); errString(err) != want || !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("a listener: %v, want %s", err, want)
	}
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if _, err := peercred.GetLoopbackPeerUIDOf(file); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: %v, want os.ErrClosed", err)
	}
}

// Questions about connections of several users get the right uid each, while other
// connections are closed.
func TestLoopbackConcurrently(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	const users, rounds = 16, 100
	listener := listenTCP(t, "tcp4", "127.0.0.1")
	var all sync.WaitGroup
	for user := range users {
		server, client := barePair(t, [4]byte{127, 0, 0, 1})
		if err := unix.Fchown(client, 1000+user, -1); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for range rounds {
				agreeOnOwner(t, server, ownedBy(uint32(1000+user)))
			}
		})
		all.Go(func() {
			for range rounds / 10 {
				conn, err := net.Dial("tcp4", listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				var closer sync.WaitGroup
				closer.Go(func() { conn.Close() })
				uid, err := peercred.GetLoopbackPeerUID(conn)
				if uid != 0 || !errors.Is(err, net.ErrClosed) && !errors.Is(err, unix.EAGAIN) {
					t.Errorf("a conn that is closed meanwhile: %d, %v, want net.ErrClosed or EAGAIN", uid, err)
				}
				closer.Wait()
			}
		})
	}
	all.Wait()
}

// The implementations keep one descriptor each, which no child inherits.
func TestLoopbackDescriptors(t *testing.T) {
	needTCPDiag(t)
	ours, _ := tcpPair(t)
	fd := descriptor(t, ours)
	askOwners(fd)
	cookies := func() (all []uint64) {
		for _, fd := range keptSockets(t) {
			cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, cookie)
		}
		return all
	}
	kept, before := cookies(), descriptorsOpen()
	for range 100 {
		askOwners(fd)
		askOwners(-1)
	}
	if got := opened(before); len(got) > 0 {
		t.Errorf("descriptors %d are open, and were not before", got)
	}
	if diff := cmp.Diff(kept, cookies()); diff != "" {
		t.Errorf("the netlink sockets that are kept (-want +got):\n%s", diff)
	}
	for _, fd := range keptSockets(t) {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: the flags are %#x, %v, want close-on-exec", fd, flags, err)
		}
	}
}

// keptSockets returns the netlink socket that each implementation keeps.
func keptSockets(t *testing.T) (kept []int) {
	t.Helper()
	for _, fd := range descriptorsOpen() {
		if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_NETLINK {
			continue
		}
		if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err == nil && protocol == unix.NETLINK_SOCK_DIAG {
			kept = append(kept, fd)
		}
	}
	if len(kept) != len(implementations) {
		t.Errorf("%d netlink sockets are kept, want one for each of %d implementations", len(kept), len(implementations))
	}
	return kept
}

// A program may close all descriptors that it does not know. What then has the number of the
// netlink socket is not touched.
func TestLoopbackDescriptorTaken(t *testing.T) {
	needTCPDiag(t)
	ours, _ := tcpPair(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	for name, taker := range map[string]int{"a socket": socketpair(t, unix.SOCK_DGRAM)[0], "a pipe": descriptor(t, write), "nothing": -1} {
		t.Run(name, func(t *testing.T) {
			agreeOnOwner(t, descriptor(t, ours), ownedBy(uint32(os.Geteuid())))
			numbers := keptSockets(t)
			var want, got unix.Stat_t
			for _, fd := range numbers {
				if taker == -1 {
					unix.Close(fd)
				} else if err := errors.Join(unix.Dup3(taker, fd, unix.O_CLOEXEC), unix.Fstat(taker, &want)); err != nil {
					t.Fatal(err)
				}
			}
			agreeOnOwner(t, descriptor(t, ours), ownedBy(uint32(os.Geteuid())))
			if taker == -1 {
				return
			}
			for _, fd := range numbers {
				if err := unix.Fstat(fd, &got); err != nil || got.Ino != want.Ino {
					t.Errorf("descriptor %d: inode %d, %v, want %d", fd, got.Ino, err, want.Ino)
				}
				unix.Close(fd)
			}
		})
	}
}

// ownerReport is what a helper says of descriptor 3, to two questions.
type ownerReport struct {
	Implementations []map[string]owner
	Err             string // of the public function
	Unavailable     bool
	Left            int // descriptors that are open and were not before
}

// helperAskOwner asks about descriptor 3 while Calls are answered with the only one of
// Errnos.
func helperAskOwner(r role) error {
	before := descriptorsOpen()
	if len(r.Calls) > 0 {
		if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
			return err
		}
	}
	got := ownerReport{Implementations: []map[string]owner{askOwners(3), askOwners(3)}}
	got.Left = len(opened(before))
	conn := foreign{raw: control(func(f func(uintptr)) error { f(3); return nil })}
	_, err := peercred.GetLoopbackPeerUID(conn)
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	got.Err, got.Unavailable = errString(err), errors.As(err, &unavailable)
	return reexec.Report(got)
}

// ownedPair returns our end of a connection of the user tcpClient.
func ownedPair(t *testing.T) *net.TCPConn {
	t.Helper()
	server, client := tcpPair(t)
	if err := unix.Fchown(descriptor(t, client), tcpClient, -1); err != nil {
		t.Fatal(err)
	}
	return server
}

// tcpFile is ownedPair as a file.
func tcpFile(t *testing.T) *os.File {
	t.Helper()
	file, err := ownedPair(t).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// A kernel, or a sandbox, that fails a call or reports success without a write.
func TestLoopbackForged(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	seccomp.Need(t)
	file := tcpFile(t)
	const (
		noNetlink = "the kernel or a sandbox does not allow netlink sockets: allow AF_NETLINK, for example in RestrictAddressFamilies= of systemd"
		noCookie  = "this kernel does not have SO_NETNS_COOKIE; Linux has it since 5.14"
	)
	type forged struct {
		name  string
		call  seccomp.Call
		errno syscall.Errno
		want  string
	}
	tests := []forged{
		{"socket", seccomp.Any(unix.SYS_SOCKET), unix.EAFNOSUPPORT, noNetlink},
		{"socket", seccomp.Any(unix.SYS_SOCKET), unix.EPROTONOSUPPORT, noNetlink},
		{"socket", seccomp.Any(unix.SYS_SOCKET), unix.EACCES, "permission denied"},
		{"socket", seccomp.Any(unix.SYS_SOCKET), unix.EMFILE, "too many open files"},
		{"SO_NETNS_COOKIE", seccomp.Option(unix.SO_NETNS_COOKIE), unix.ENOPROTOOPT, noCookie},
		{"recvfrom", seccomp.Any(unix.SYS_RECVFROM), unix.EAGAIN, "protocol error"},
	}
	for name, call := range map[string]seccomp.Call{
		"SO_PROTOCOL": seccomp.Option(unix.SO_PROTOCOL), "SO_BINDTOIFINDEX": seccomp.Option(unix.SO_BINDTOIFINDEX), "SO_ORIGINAL_DST": seccomp.Option(unix.SO_ORIGINAL_DST),
		"getsockname": seccomp.Any(unix.SYS_GETSOCKNAME), "getpeername": seccomp.Any(unix.SYS_GETPEERNAME), "SO_NETNS_COOKIE": seccomp.Option(unix.SO_NETNS_COOKIE),
		"sendto": seccomp.Any(unix.SYS_SENDTO), "recvfrom": seccomp.Any(unix.SYS_RECVFROM), "TCP_INFO": seccomp.Option(unix.TCP_INFO), "SO_COOKIE": seccomp.Option(unix.SO_COOKIE),
	} {
		for errno, want := range map[syscall.Errno]string{unix.EPERM: "operation not permitted", unix.EINTR: "interrupted system call", 0: "protocol error"} {
			tests = append(tests, forged{name, call, errno, want})
		}
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s/%d", test.name, test.errno), func(t *testing.T) {
			var got ownerReport
			start(t, role{Do: "ask owner", Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{test.errno}}, withFile(file)).Decode(&got)
			all := allSay(owner{Err: test.want})
			if diff := cmp.Diff([]map[string]owner{all, all}, got.Implementations); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			unavailable := strings.Contains(test.want, " AF_NETLINK") || test.want == noCookie
			if !strings.HasPrefix(got.Err, "failed to get the loopback peer's uid: ") || !strings.HasSuffix(got.Err, test.want) || got.Unavailable != unavailable {
				t.Errorf("GetLoopbackPeerUID: %s, unavailable: %v, want %s, %v", got.Err, got.Unavailable, test.want, unavailable)
			}
			// The netlink sockets are kept if it is our own end that cannot be asked.
			if got.Left != 0 && !(test.name == "TCP_INFO" && got.Left == len(implementations)) {
				t.Errorf("%d descriptors more are open than before", got.Left)
			}
		})
	}
}

// askOwnerForged returns what the first implementation says of file if the kernel's answer
// to a call is changed, and then when it is not.
func askOwnerForged(t *testing.T, file *os.File, answer callAnswer, options ...func(*role)) (forged, then owner) {
	t.Helper()
	seccomp.NeedNotification(t)
	r := role{Do: "ask owner", Answer: &answer}
	for _, option := range options {
		option(&r)
	}
	var got ownerReport
	start(t, r, withFile(file)).Decode(&got)
	return got.Implementations[0][implementations[0].name], got.Implementations[1][implementations[0].name]
}

// failing makes other calls fail too.
func failing(call seccomp.Call, errno syscall.Errno) func(*role) {
	return func(r *role) { r.Calls, r.Errnos = []seccomp.Call{call}, []syscall.Errno{errno} }
}

// The numbers of the getsockopt(2) calls of the first question, which opens the netlink socket.
const (
	_ = iota
	_ // SO_PROTOCOL
	askDevice
	askOriginal
	askNetns
	_ // SO_COOKIE of the netlink socket, if it is open
	askOwnNetns
	_ // SO_COOKIE
	askState
)

// named is another name of our end.
func named(writes map[int][]byte) callAnswer {
	return callAnswer{Numbers: []uintptr{unix.SYS_GETSOCKNAME}, When: 1, Made: true, Writes: writes}
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// A single answer of the kernel decides.
func TestLoopbackAnswers(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	file := tcpFile(t)
	fd := descriptor(t, file)
	spoken, err := bareDiagAnswer(fd)
	if err != nil {
		t.Fatal(err)
	}
	binary.NativeEndian.PutUint32(spoken[atSerial:], 1)
	other := bytes.Clone(spoken)
	binary.NativeEndian.PutUint32(other[atSerial:], 99)
	long := append(spoken, make([]byte, 1024-len(spoken))...)
	tooLong := bytes.Clone(long)
	binary.NativeEndian.PutUint32(long, 1024)
	binary.NativeEndian.PutUint32(tooLong, 1025)
	own, ownErr := unix.Getsockname(fd)
	peer, peerErr := unix.Getpeername(fd)
	netns, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err := errors.Join(ownErr, peerErr, err); err != nil {
		t.Fatal(err)
	}
	inet := func(at netip.AddrPort) []byte {
		b := binary.BigEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, unix.AF_INET), at.Port())
		return append(b, at.Addr().AsSlice()...)
	}
	elsewhere := netip.MustParseAddrPort("192.0.2.1:80")
	netlink := func(family uint16, pid uint32) []byte {
		return append(binary.NativeEndian.AppendUint16(nil, family), append([]byte{0, 0}, word(pid)...)...)
	}
	option := func(when int, errno syscall.Errno, writes map[int][]byte) callAnswer {
		return callAnswer{Numbers: []uintptr{unix.SYS_GETSOCKOPT}, When: when, Made: errno == 0, Errno: errno, Writes: writes}
	}
	original := func(at netip.AddrPort) callAnswer {
		a := option(askOriginal, 0, map[int][]byte{4: inet(at)})
		a.Made = false // it would shorten the length if it failed
		return a
	}
	received := func(writes map[int][]byte) callAnswer {
		return callAnswer{Numbers: []uintptr{unix.SYS_RECVFROM}, When: 1, Made: true, Writes: writes}
	}
	there := otherNetworkNamespace(t)
	for _, test := range []struct {
		name   string
		file   *os.File
		answer callAnswer
		want   owner
		also   []func(*role)
	}{
		{"our address", file, named(map[int][]byte{2: inet(elsewhere)}), noOwner(unix.EADDRNOTAVAIL), nil},
		{"the peer's address", file, callAnswer{Numbers: []uintptr{unix.SYS_GETPEERNAME}, When: 1, Made: true, Writes: map[int][]byte{2: inet(elsewhere)}}, noOwner(unix.EADDRNOTAVAIL), nil},
		{"a name of another family", file, named(map[int][]byte{2: word(unix.AF_UNIX)[:2]}), noOwner(unix.EPROTO), nil},
		{"too long a name", file, named(map[int][]byte{3: word(unix.SizeofSockaddrInet6)}), noOwner(unix.EPROTO), nil},
		{"the device lo", file, option(askDevice, 0, map[int][]byte{4: word(1)}), ownedBy(tcpClient), nil},
		{"another device", file, option(askDevice, 0, map[int][]byte{4: word(2)}), owner{Err: "the connection is bound to a network device (VRF or SO_BINDTODEVICE), and other devices can have the same addresses"}, nil},
		{"no tracking", file, option(askOriginal, unix.ENOPROTOOPT, nil), ownedBy(tcpClient), nil},
		{"not tracked", file, option(askOriginal, unix.ENOENT, nil), ownedBy(tcpClient), nil},
		{"not redirected", file, original(addrPort(own)), ownedBy(tcpClient), nil},
		{"not redirected, of a client", file, original(addrPort(peer)), ownedBy(tcpClient), nil},
		{"redirected", file, original(elsewhere), owner{Err: "a rule of the firewall (NAT) redirected the connection, so the peer's socket cannot be found"}, nil},
		{"MPTCP, no socket", file, option(askOriginal, unix.EOPNOTSUPP, nil), noOwner(unix.EMFILE), []func(*role){failing(seccomp.Any(unix.SYS_SOCKET), unix.EMFILE)}},
		{"no cookie", file, option(askNetns, unix.EPERM, nil), noOwner(unix.EPERM), nil},
		{"half a cookie", file, option(askNetns, 0, map[int][]byte{5: word(4)}), noOwner(unix.EPROTO), nil},
		{"no cookie of the netlink socket", file, option(askOwnNetns, unix.EPERM, nil), noOwner(unix.EPERM), nil},
		{"a long state", file, option(askState, 0, map[int][]byte{5: word(2)}), noOwner(unix.EPROTO), nil},
		{"a full answer", file, callAnswer{Numbers: []uintptr{unix.SYS_RECVFROM}, When: 1, Made: true, Result: 1024, Writes: map[int][]byte{2: long}}, ownedBy(tcpClient), nil},
		{"too long an answer", file, callAnswer{Numbers: []uintptr{unix.SYS_RECVFROM}, When: 1, Made: true, Result: 1025, Writes: map[int][]byte{2: tooLong}}, noOwner(unix.EPROTO), nil},
		{"another sender", file, received(map[int][]byte{5: netlink(unix.AF_NETLINK, 1)}), noOwner(unix.EPROTO), nil},
		{"a sender of another family", file, received(map[int][]byte{5: netlink(unix.AF_INET, 0)}), noOwner(unix.EPROTO), nil},
		{"half a sender", file, received(map[int][]byte{6: word(8)}), noOwner(unix.EPROTO), nil},
		{"a late answer", file, callAnswer{Numbers: []uintptr{unix.SYS_RECVFROM}, When: 1, Result: 88, Writes: map[int][]byte{2: other, 5: netlink(unix.AF_NETLINK, 0)}}, noOwner(unix.EPROTO), nil},
		{"no tcp_diag", there, option(askNetns, 0, map[int][]byte{4: binary.NativeEndian.AppendUint64(nil, netns)}), owner{Err: "the kernel does not report TCP sockets: load its module tcp_diag"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, then := askOwnerForged(t, test.file, test.answer, test.also...)
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			if want := ownedBy(tcpClient); then != want && test.file == file && test.also == nil {
				t.Errorf("then %+v, want %+v", then, want)
			}
		})
	}
}

// A kernel that tracks no connections redirects none, and one that does not say so of an MPTCP
// socket may. A TCP socket of our own tells them apart.
func TestLoopbackAnswersIPv6(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	listener := listenTCP(t, "tcp6", "::1")
	client, err := net.Dial("tcp6", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	file, err := acceptTCP(t, listener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		writes map[int][]byte
		want   owner
	}{
		{map[int][]byte{2: append(word(unix.AF_INET6)[:2], make([]byte, 22)...)}, noOwner(unix.EADDRNOTAVAIL)}, // [::]:0
		{map[int][]byte{3: word(unix.SizeofSockaddrInet4)}, noOwner(unix.EPROTO)},
	} {
		if got, _ := askOwnerForged(t, file, named(test.writes)); got != test.want {
			t.Errorf("the name %v: %+v, want %+v", test.writes, got, test.want)
		}
	}
	answer := callAnswer{Numbers: []uintptr{unix.SYS_GETSOCKOPT}, When: askOriginal, Errno: unix.EOPNOTSUPP}
	for errno, want := range map[syscall.Errno]owner{
		unix.ENOPROTOOPT: ownedBy(0),
		unix.ENOENT:      {Err: errMultipath},
	} {
		// Only the socket of our own is asked over IPv4.
		got, _ := askOwnerForged(t, file, answer, failing(seccomp.Call{Number: unix.SYS_GETSOCKOPT, Argument: 1, Value: unix.SOL_IP}, errno))
		if got != want {
			t.Errorf("%v: %+v, want %+v", errno, got, want)
		}
	}
}

// otherNetworkNamespace returns an end of a connection there.
func otherNetworkNamespace(t *testing.T) (end *os.File) {
	t.Helper()
	inNetworkNamespace(t, func() {
		server, _ := barePair(t, [4]byte{127, 0, 0, 1})
		fd, err := unix.FcntlInt(uintptr(server), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			runtime.Goexit()
		}
		end = os.NewFile(uintptr(fd), "a connection elsewhere")
	})
	t.Cleanup(func() { end.Close() })
	return end
}

// A late answer is never taken for the answer to the next question.
func TestLoopbackLateAnswer(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	file := tcpFile(t)
	for when := 1; when <= 2; when++ {
		got, then := askOwnerForged(t, file, callAnswer{Numbers: []uintptr{unix.SYS_RECVFROM}, When: when, Errno: unix.ENOBUFS})
		if got != noOwner(unix.ENOBUFS) || then != ownedBy(tcpClient) {
			t.Errorf("answer %d is late: %+v, then %+v, want ENOBUFS and then %d", when, got, then, tcpClient)
		}
	}
}

// While the server accepts, a kernel can answer with an inode and with the uid of before,
// which is root's. The second answer counts.
func TestLoopbackAcceptedMeanwhile(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	file := tcpFile(t)
	answer, err := bareDiagAnswer(descriptor(t, file))
	if err != nil {
		t.Fatal(err)
	}
	for when, want := range map[int]uint32{1: tcpClient, 2: 0} {
		binary.NativeEndian.PutUint32(answer[atSerial:], uint32(when))
		binary.NativeEndian.PutUint32(answer[atUID:], 0)
		got, _ := askOwnerForged(t, file, callAnswer{Numbers: []uintptr{unix.SYS_RECVFROM}, When: when, Made: true, Writes: map[int][]byte{2: answer}})
		if got != ownedBy(want) {
			t.Errorf("answer %d says root: %+v, want %d", when, got, want)
		}
	}
}

// If our end is no longer connected after the answer, the answer does not count.
func TestLoopbackLostMeanwhile(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	file := tcpFile(t)
	for state := range byte(13) {
		want := noOwner(unix.ENOTCONN)
		switch state {
		case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
			want = ownedBy(tcpClient)
		}
		got, then := askOwnerForged(t, file, callAnswer{Numbers: []uintptr{unix.SYS_GETSOCKOPT}, When: askState, Made: true, Writes: map[int][]byte{4: {state}}})
		if got != want || then != ownedBy(tcpClient) {
			t.Errorf("state %d: %+v, then %+v, want %+v and then %d", state, got, then, want, tcpClient)
		}
	}
}

// redirectRules makes the port 8081 another name of 8080, as container engines do.
const redirectRules = `table inet rules {
	chain output {
		type nat hook output priority -100
		tcp dport 8081 redirect to :8080
	}
}`

// A client that a firewall's rule redirects is an error. Another user can be connected from
// its address and port to the server's own port, and the kernel then names that user. This
// is the last test here, because a kernel tracks connections from then on.
func TestLoopbackRedirected(t *testing.T) {
	reexec.NeedRoot(t)
	needTCPDiag(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skipf("needs nft: %v", err)
	}
	const redirected = "a rule of the firewall (NAT) redirected the connection, so the peer's socket cannot be found"
	for _, test := range []struct {
		name     string
		domain   int
		loopback netip.Addr
	}{
		{"IPv4", unix.AF_INET, netip.MustParseAddr("127.0.0.1")},
		{"IPv6", unix.AF_INET6, netip.IPv6Loopback()},
		{"IPv4 on sockets of both", unix.AF_INET6, netip.MustParseAddr("::ffff:127.0.0.1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var missing error
			inNetworkNamespace(t, func() {
				rules := exec.Command("nft", "-f", "-")
				rules.Stdin = strings.NewReader(redirectRules)
				if out, err := rules.CombinedOutput(); strings.Contains(string(out), "syntax error") {
					t.Errorf("nft: %s", out)
					return
				} else if err != nil {
					missing = fmt.Errorf("%w, %s", err, out)
					return
				}
				listener := socket(t, test.domain, unix.SOCK_STREAM)
				at := func(port uint16) unix.Sockaddr {
					return socketAddress(netip.AddrPortFrom(test.loopback, port), test.domain)
				}
				if err := errors.Join(unix.Bind(listener, at(8080)), unix.Listen(listener, 3)); err != nil {
					t.Error(err)
					return
				}
				dial := func(uid int, from, to uint16) (server int) {
					client := socket(t, test.domain, unix.SOCK_STREAM)
					err := errors.Join(unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
						unix.Fchown(client, uid, -1), unix.Bind(client, at(from)), unix.Connect(client, at(to)))
					if err == nil {
						server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
					}
					if err != nil {
						t.Errorf("uid %d from port %d to %d: %v", uid, from, to, err)
						runtime.Goexit()
					}
					t.Cleanup(func() { unix.Close(server) })
					return server
				}
				agreeOnOwner(t, dial(tcpClient, 4242, 8080), ownedBy(tcpClient))
				impostor := dial(tcpImpostor, 4243, 8081)
				agreeOnOwner(t, impostor, owner{Err: redirected})
				victim := dial(tcpClient, 4243, 8080)
				if state, uid, inode, err := bareDiag(impostor); uid != tcpClient || inode == 0 || err != nil {
					t.Errorf("the kernel says state %d, uid %d, inode %d, %v: this test requires that it names the victim", state, uid, inode, err)
				}
				agreeOnOwner(t, impostor, owner{Err: redirected})
				agreeOnOwner(t, victim, noOwner(unix.ENOENT)) // conntrack gave it another port
			})
			if missing != nil {
				t.Skipf("needs nft redirect: %v", missing)
			}
		})
	}
}
