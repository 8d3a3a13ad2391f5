//go:build !android

package peercred_test

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// agree compares every implementation with want, and names the one that differs.
func agree(t testing.TB, fd int, want answer) {
	t.Helper()
	for _, i := range implementations {
		if diff := cmp.Diff(want, i.ask(fd)); diff != "" {
			t.Errorf("descriptor %d: the kernel says %s; %s.Credentials (-want +got):\n%s", fd, bareAnswer(fd), i.name, diff)
		}
	}
}

// bareAnswer is what the kernel says without any code of ours.
func bareAnswer(fd int) string {
	ucred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Sprintf("%v (%s)", err, unix.ErrnoName(err.(unix.Errno)))
	}
	return fmt.Sprintf("%+v", *ucred)
}

func refused(errno unix.Errno) answer { return answer{Err: errno.Error()} }

var noPeer = refused(unix.ENOTCONN)

// socket returns a fresh socket.
func socket(t testing.TB, domain, socketType int) int {
	t.Helper()
	fd, err := unix.Socket(domain, socketType|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func boundSocket(t testing.TB, domain, socketType int, address unix.Sockaddr) int {
	t.Helper()
	fd := socket(t, domain, socketType)
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	return fd
}

func socketpair(t testing.TB, socketType int) [2]int {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, socketType|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds
}

// state is a descriptor in some state, with the required answers of Credentials, Kind and
// CheckCanHavePeer.
type state struct {
	name     string
	fd       func(t *testing.T) int
	want     answer
	kind     string
	noPeerBy error
}

var unixTypes = []struct {
	name, network string
	socketType    int
}{
	{"stream", "unix", unix.SOCK_STREAM},
	{"seqpacket", "unixpacket", unix.SOCK_SEQPACKET},
	{"datagram", "unixgram", unix.SOCK_DGRAM},
}

func states() (all []state) {
	add := func(name string, want answer, kind string, fd func(t *testing.T) int) {
		s := state{name: name, fd: fd, want: want, kind: kind}
		if strings.HasPrefix(name, "datagram") || kind == "UDP" {
			s.noPeerBy = unix.ENOTCONN
		}
		all = append(all, s)
	}
	for _, u := range unixTypes {
		add(u.name+" unconnected", noPeer, "Unix", func(t *testing.T) int { return socket(t, unix.AF_UNIX, u.socketType) })
		add(u.name+" bound", noPeer, "Unix", func(t *testing.T) int {
			return boundSocket(t, unix.AF_UNIX, u.socketType, &unix.SockaddrUnix{Name: abstract()})
		})
		for end, side := range []string{"first", "second"} {
			add(u.name+" socketpair "+side, ourselves(), "Unix", func(t *testing.T) int { return socketpair(t, u.socketType)[end] })
		}
	}
	add("datagram connected", noPeer, "Unix", func(t *testing.T) int {
		address := &unix.SockaddrUnix{Name: abstract()}
		boundSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM, address)
		fd := socket(t, unix.AF_UNIX, unix.SOCK_DGRAM)
		if err := unix.Connect(fd, address); err != nil {
			t.Fatal(err)
		}
		return fd
	})
	for _, u := range unixTypes[:2] {
		for _, name := range []string{"path", "abstract"} {
			for _, side := range []string{"accepted", "connecting"} {
				add(fmt.Sprintf("%s %s %s", u.name, name, side), ourselves(), "Unix", func(t *testing.T) int {
					return connectedEnd(t, u.network, name, side)
				})
			}
		}
		all = append(all, state{
			name: u.name + " listening", want: ourselves(), kind: "Unix", noPeerBy: unix.ENOTCONN,
			fd: func(t *testing.T) int { return descriptor(t, listen(t, u.network)) },
		})
		for how, name := range map[int]string{unix.SHUT_RD: "for reading", unix.SHUT_WR: "for writing", unix.SHUT_RDWR: "altogether"} {
			for _, side := range []string{"accepted", "connecting"} {
				add(fmt.Sprintf("%s %s shut down %s", u.name, side, name), ourselves(), "Unix", func(t *testing.T) int {
					fd := connectedEnd(t, u.network, "abstract", side)
					if err := unix.Shutdown(fd, how); err != nil {
						t.Fatal(err)
					}
					return fd
				})
			}
		}
		add(u.name+" closed by the peer", ourselves(), "Unix", func(t *testing.T) int {
			server, client := connectOver(t, u.network, abstract())
			client.Close()
			return descriptor(t, server)
		})
		add(u.name+" closed by the server", ourselves(), "Unix", func(t *testing.T) int {
			server, client := connectOver(t, u.network, abstract())
			server.Close()
			return descriptor(t, client)
		})
	}
	add("TCP connected", noPeer, "TCP", func(t *testing.T) int { return descriptor(t, dialTCP(t)) })
	add("TCP unconnected", noPeer, "TCP", func(t *testing.T) int { return socket(t, unix.AF_INET, unix.SOCK_STREAM) })
	add("TCP over IPv6, unconnected", noPeer, "TCP", func(t *testing.T) int { return socket(t, unix.AF_INET6, unix.SOCK_STREAM) })
	all = append(all, state{
		name: "TCP listening", want: noPeer, kind: "TCP", noPeerBy: unix.ENOTCONN,
		fd: func(t *testing.T) int {
			fd := boundSocket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatal(err)
			}
			return fd
		},
	})
	add("UDP", noPeer, "UDP", func(t *testing.T) int { return socket(t, unix.AF_INET, unix.SOCK_DGRAM) })
	add("netlink", noPeer, "unknown", func(t *testing.T) int { return socket(t, unix.AF_NETLINK, unix.SOCK_RAW) })
	for _, unsocketed := range []struct {
		name string
		fd   func(t *testing.T) int
	}{
		{"pipe", func(t *testing.T) int {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { read.Close(); write.Close() })
			return descriptor(t, read)
		}},
		{"regular file", func(t *testing.T) int {
			file, err := os.Create(filepath.Join(t.TempDir(), "f"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { file.Close() })
			return descriptor(t, file)
		}},
	} {
		all = append(all, state{
			name: unsocketed.name, fd: unsocketed.fd,
			want: refused(unix.ENOTSOCK), kind: "unknown", noPeerBy: unix.ENOTSOCK,
		})
	}
	descriptors := map[string]int{"-1": -1, "the least int": math.MinInt, "a million and one": 1000001, "2^31-1": math.MaxInt32, "the greatest int": math.MaxInt}
	if math.MaxInt > math.MaxInt32 {
		wide := int64(1) << 32 // where an int has 64 bits; as a C int it is 0
		descriptors["2^32"] = int(wide)
		descriptors["2^32+1"] = int(wide + 1)
		descriptors["2^31"] = int(wide / 2)
	}
	for name, fd := range descriptors {
		all = append(all, state{
			name: "descriptor " + name, fd: func(*testing.T) int { return fd },
			want: refused(unix.EBADF), noPeerBy: unix.EBADF,
		})
	}
	all = append(all, state{
		name: "closed", want: refused(unix.EBADF), noPeerBy: unix.EBADF,
		fd: func(t *testing.T) int {
			// High up, where nothing else opens a descriptor meanwhile.
			fd, err := unix.FcntlInt(uintptr(socket(t, unix.AF_UNIX, unix.SOCK_STREAM)), unix.F_DUPFD_CLOEXEC, 900)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			return fd
		},
	})
	return all
}

func connectedEnd(t *testing.T, network, name, side string) int {
	address := abstract()
	if name == "path" {
		address = filepath.Join(t.TempDir(), "s")
	}
	server, client := connectOver(t, network, address)
	if side == "accepted" {
		return descriptor(t, server)
	}
	return descriptor(t, client)
}

func TestAgreementOnStates(t *testing.T) {
	// Descriptor 0 is a socket. So a number that is truncated to a C int would get an answer.
	pair := socketpair(t, unix.SOCK_STREAM)
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { unix.Dup3(stdin, 0, 0); unix.Close(stdin) }()
	if err := unix.Dup3(pair[0], 0, 0); err != nil {
		t.Fatal(err)
	}

	for _, state := range states() {
		t.Run(state.name, func(t *testing.T) {
			fd := state.fd(t)
			agree(t, fd, state.want)
			for _, i := range implementations {
				kind, err := i.kind(fd)
				wantErr := ""
				if state.kind == "" {
					wantErr = unix.EBADF.Error()
				}
				if kind != state.kind || errString(err) != wantErr {
					t.Errorf("%s.Kind = %q, %v, want %q, %q", i.name, kind, err, state.kind, wantErr)
				}
				if err := i.checkCanHavePeer(fd); err != state.noPeerBy {
					t.Errorf("%s.CheckCanHavePeer = %v, want %v", i.name, err, state.noPeerBy)
				}
				listens, err := i.listens(fd)
				if want := strings.HasSuffix(state.name, "listening"); listens != want || (err != nil && err != state.noPeerBy) {
					t.Errorf("%s.Listens = %v, %v, want %v", i.name, listens, err, want)
				}
			}
		})
	}
}

// Every errno is bare, as the contract of the two packages requires.
func TestErrnosAreBare(t *testing.T) {
	for _, i := range implementations {
		for fd, want := range map[int]error{-1: unix.EBADF, socket(t, unix.AF_UNIX, unix.SOCK_STREAM): unix.ENOTCONN} {
			if _, _, _, err := i.credentials(fd); err != want {
				t.Errorf("%s.Credentials(%d) = %#v, want %#v", i.name, fd, err, want)
			}
		}
	}
}

// notConnected asserts that every public function returns ENOTCONN for conn.
func notConnected(t *testing.T, conn *net.UnixConn, what string) {
	t.Helper()
	for name, ask := range asks(conn) {
		if got, err := ask(); got != nil || !isErrno(err, unix.ENOTCONN) {
			t.Errorf("%s of %s: %v, %v, want ENOTCONN", name, what, got, err)
		}
	}
}

// A listening socket from net.FileConn is a *net.UnixConn. The kernel answers for it with the
// ids of the process that called listen(2), so it must be an error.
func TestTrap03Listener(t *testing.T) {
	_, conn := listeningConn(t, listen(t, "unix"))
	notConnected(t, conn, "a listener")
}

// listeningConn returns the file of a listener, and what net.FileConn makes of it.
func listeningConn(t *testing.T, listener *net.UnixListener) (*os.File, *net.UnixConn) {
	t.Helper()
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		t.Fatalf("net.FileConn of a listener gave %T", conn)
	}
	return file, socket
}

func TestTrap03NoPeer(t *testing.T) {
	for _, u := range unixTypes {
		fd, err := unix.Socket(unix.AF_UNIX, u.socketType|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		conn := unixConn(t, fd)
		defer conn.Close()
		notConnected(t, conn, "an unconnected "+u.name+" socket")
	}
}

// The kernel still names the old peer of a datagram socket after it was connected to another
// or to none. So every datagram socket is an error.
func TestTrap03Datagrams(t *testing.T) {
	elsewhere := &unix.SockaddrUnix{Name: abstract()}
	boundSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM, elsewhere)
	for name, change := range map[string]func(fd int) error{
		"as it was made":       func(int) error { return nil },
		"connected to another": func(fd int) error { return unix.Connect(fd, elsewhere) },
		"connected to none":    disconnect,
	} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fds[1])
		if err := change(fds[0]); err != nil {
			t.Fatal(err)
		}
		agree(t, fds[0], ourselves())
		conn := unixConn(t, fds[0])
		notConnected(t, conn, "a datagram socketpair, "+name)
		conn.Close()
	}
}

// disconnect is connect(2) to AF_UNSPEC.
func disconnect(fd int) error {
	unspecified := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspecified)), unsafe.Sizeof(unspecified))
	if errno != 0 {
		return errno
	}
	return nil
}

// The error for a listener explains what to ask about instead. The error for another socket
// without a peer does not.
func TestListenerIsExplained(t *testing.T) {
	const advice = " (this is a listener: ask about the connection that Accept returns)"
	const noPeer = "failed to get peer credentials: linux: check that the socket can have a peer: transport endpoint is not connected"
	for _, u := range unixTypes[:2] {
		listener := listen(t, u.network)
		file, conn := listeningConn(t, listener)
		for _, what := range []syscall.Conn{listener, file, conn} {
			if got, err := peercred.GetPeerCredentialsOf(what); got != nil || !isErrno(err, unix.ENOTCONN) || err.Error() != noPeer+advice {
				t.Errorf("GetPeerCredentialsOf a listening %T: %v, %v, want %q", what, got, err, noPeer+advice)
			}
		}
		for name, ask := range map[string]func() error{
			"GetPeerCredentials":   func() error { _, err := peercred.GetPeerCredentials(conn); return err },
			"GetPeerGroups":        func() error { _, err := peercred.GetPeerGroups(conn); return err },
			"GetPeerSecurityLabel": func() error { _, err := peercred.GetPeerSecurityLabel(conn); return err },
			"OpenPeerProcess":      func() error { _, err := peercred.OpenPeerProcess(conn); return err },
		} {
			if err := ask(); !strings.HasSuffix(errString(err), advice) {
				t.Errorf("%s of a listening %s socket: %v, want %q", name, u.name, err, advice)
			}
		}
	}
	for what, fd := range map[string]int{
		"an unconnected socket":     socket(t, unix.AF_UNIX, unix.SOCK_STREAM),
		"a datagram socket":         socket(t, unix.AF_UNIX, unix.SOCK_DGRAM),
		"an end of a datagram pair": socketpair(t, unix.SOCK_DGRAM)[0],
	} {
		conn := foreign{raw: control(func(f func(uintptr)) error { f(uintptr(fd)); return nil })}
		if _, err := peercred.GetPeerCredentials(conn); !isErrno(err, unix.ENOTCONN) || strings.Contains(err.Error(), "listener") {
			t.Errorf("GetPeerCredentials of %s: %v, want ENOTCONN and an error that does not mention a listener", what, err)
		}
	}
}

// A process that shares an unconnected socket can make it listen during the call. The
// socket has no peer before or after, so the call must fail.
func TestTrap03ListenWhileAsked(t *testing.T) {
	for range 2000 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: abstract()}); err != nil {
			t.Fatal(err)
		}
		conn := foreign{raw: control(func(f func(uintptr)) error { f(uintptr(fd)); return nil })}
		begin := make(chan struct{})
		var listener sync.WaitGroup
		listener.Go(func() {
			<-begin
			unix.Listen(fd, 1)
		})
		close(begin)
		for range 3 {
			if got, err := peercred.GetPeerCredentials(conn); got != nil || !isErrno(err, unix.ENOTCONN) {
				t.Fatalf("%v, %v, want ENOTCONN", got, err)
			}
		}
		listener.Wait()
		unix.Close(fd)
	}
}

// Every socket of another family is an error, whatever its Go type. The kernel reports the
// family.
func TestTrap01OtherFamilies(t *testing.T) {
	for _, state := range states() {
		if state.kind == "Unix" || state.kind == "" {
			continue
		}
		t.Run(state.name, func(t *testing.T) {
			fd := state.fd(t)
			file := foreign{raw: control(func(f func(uintptr)) error { f(uintptr(fd)); return nil })}
			for name, ask := range asks(file) {
				got, err := ask()
				if want := "peer credentials only available for Unix sockets, got " + state.kind; got != nil || errString(err) != want {
					t.Errorf("%s: %v, %v, want %s", name, got, err, want)
				}
			}
		})
	}
}

// Descriptor 0 is a valid descriptor.
func TestDescriptorZero(t *testing.T) {
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Dup3(stdin, 0, 0); err != nil {
			t.Error(err)
		}
		for _, fd := range []int{stdin, fds[0], fds[1]} {
			unix.Close(fd)
		}
	}()
	if err := unix.Dup3(fds[0], 0, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for _, i := range implementations {
		if diff := cmp.Diff(ourselves(), i.ask(0)); diff != "" {
			t.Errorf("%s.Credentials (-want +got):\n%s", i.name, diff)
		}
		if kind, err := i.kind(0); kind != "Unix" || err != nil {
			t.Errorf("%s.Kind = %q, %v, want Unix", i.name, kind, err)
		}
		if err := i.checkCanHavePeer(0); err != nil {
			t.Errorf("%s.CheckCanHavePeer = %v, want nil", i.name, err)
		}
	}
}

// Kind is neither "TCP" nor "UDP" for a socket of another family with the same type.
func TestKindOfOtherFamilies(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Skipf("needs a netlink socket: %v", err)
	}
	defer unix.Close(fd)
	for _, i := range implementations {
		if kind, err := i.kind(fd); kind != "unknown" || err != nil {
			t.Errorf("%s.Kind of a netlink socket = %q, %v, want unknown", i.name, kind, err)
		}
	}
}

// A child does not inherit the sockets of OnSocketpair.
func TestSocketpairIsCloseOnExec(t *testing.T) {
	for _, i := range implementations {
		asked := false
		err := i.onSocketpair(func(fd int) {
			asked = true
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s: the flags are %#x, %v, want close-on-exec", i.name, flags, err)
			}
		})
		if err != nil || !asked {
			t.Errorf("%s.OnSocketpair = %v, asked: %v", i.name, err, asked)
		}
	}
}
