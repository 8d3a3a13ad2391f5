//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// kernelVariable is the environment variable that says that this kernel answers for the
// caller. If it is set, the tests fail on a correct answer, and otherwise on a wrong one.
const kernelVariable = "PEERCRED_TEST_KERNEL_ANSWERS_FOR_CALLER"

func TestTrap13Kernel(t *testing.T) {
	wrongKernel := os.Getenv(kernelVariable) != ""
	for _, i := range implementations {
		if got, err := i.answersForCaller(); got != wrongKernel || err != nil {
			t.Fatalf("%s.AnswersForCaller() = %v, %v, want %v; %s=%q", i.name, got, err, wrongKernel, kernelVariable, os.Getenv(kernelVariable))
		}
	}
	reexec.NeedRoot(t)
	for _, network := range toldNetworks() {
		listener := listen(t, network)
		peer := start(t, connectRole(listener, 1234, 5678))
		peer.Expect("connected")
		conn := accept(t, listener)
		if wrongKernel {
			agree(t, descriptor(t, conn), ourselves()) // the lie
			unavailable(t, conn, "names this process itself as the peer of every Unix socket")
		} else {
			seen(t, conn, answer{PID: peer.PID(), UID: 1234, GID: 5678})
		}
		peer.Finish()
	}
}

// packetEndsVariable says that this kernel confuses the ends of a SOCK_SEQPACKET connection.
// If it is set, the tests fail on a kernel that does not.
const packetEndsVariable = "PEERCRED_TEST_KERNEL_CONFUSES_PACKET_ENDS"

// toldNetworks are the networks for whose connections this kernel reports the peer.
func toldNetworks() []string {
	if os.Getenv(packetEndsVariable) != "" {
		return []string{"unix"}
	}
	return []string{"unix", "unixpacket"}
}

// On such a kernel an accepted seqpacket socket names the server, whether root or not.
func TestTrap13PacketEnds(t *testing.T) {
	reexec.NeedRoot(t)
	listener := listen(t, "unixpacket")
	peer := start(t, connectRole(listener, 1234, 5678))
	peer.Expect("connected")
	conn := accept(t, listener)
	if os.Getenv(packetEndsVariable) == "" {
		seen(t, conn, answer{PID: peer.PID(), UID: 1234, GID: 5678})
	} else {
		agree(t, descriptor(t, conn), ourselves()) // the lie
		for _, i := range implementations {
			if err := i.checkCanHavePeer(descriptor(t, conn)); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s.CheckCanHavePeer says %v, want an error that is errors.ErrUnsupported", i.name, err)
			}
		}
		unavailable(t, conn, "names each end of a SOCK_SEQPACKET connection as its own peer")
	}
	peer.Finish()
}

// unavailable asserts that every public function returns that error with the reason.
func unavailable(t *testing.T, conn netAndSyscallConn, reason string) {
	t.Helper()
	for name, ask := range asks(conn) {
		got, err := ask()
		var unavailable *peercred.ErrPeerCredentialsUnavailable
		if got != nil || !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason, reason) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, %v, want *ErrPeerCredentialsUnavailable that says %q", name, got, err, reason)
			continue
		}
		t.Logf("%s (%s): %v", name, peercred.Implementation, err)
	}
}

// If the kernel cannot be asked whether it answers for the caller, an answer that names this
// process is an error. Any other answer does not require that question. The failure is not
// remembered.
func TestTrap13KernelCannotBeAsked(t *testing.T) {
	if os.Getenv(kernelVariable) != "" {
		t.Skip("this kernel can be asked, and answers for the caller; TestTrap13Kernel covers it")
	}
	listener := listen(t, "unix")
	helper := start(t, role{Do: "ask without descriptors", Network: "unix", Address: listener.Addr().String()})
	want := ourselves().credentials() // who listens
	for _, other := range []string{"another peer", "another peer, wrapped"} {
		got := helper.report()
		if diff := cmp.Diff(want, got.Peer); diff != "" {
			t.Errorf("%s, without a free descriptor: %s (-want +got):\n%s", other, got.Err, diff)
		}
	}
	without, with := helper.report(), helper.report()
	helper.Finish()
	if without.Peer != nil || !strings.HasPrefix(without.Err, "peer credentials unavailable on linux: ") || !strings.Contains(without.Err, "too many open files") {
		t.Errorf("without a free descriptor: %v, %q, want unavailable and the reason", without.Peer, without.Err)
	}
	want.PID = int32(with.PID)
	if diff := cmp.Diff(want, with.Peer); diff != "" {
		t.Errorf("with one: %s (-want +got):\n%s", with.Err, diff)
	}
}

// A kernel that answers for the caller is detected. Here socket(2) is made to return a socket
// whose peer is this process.
func TestTrap13ImitatedKernel(t *testing.T) {
	var got map[string]string
	runForged(t, role{Do: "ask a wrong kernel"}, fmt.Sprintf("socket:retval=%d", ourSocket), &got)
	const refusal = "peer credentials unavailable on linux: the kernel names this process itself as the peer of every Unix socket (as gVisor before November 2025 does)"
	want := map[string]string{"file": "<nil>, " + refusal, "conn": "<nil>, " + refusal, "groups": "[], " + refusal}
	for _, i := range implementations {
		want[i.name] = "true, <nil>"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The kernel is asked whether it answers for the caller once in a process.
func TestTrap13KernelIsAskedOnce(t *testing.T) {
	const questions = 100
	listener := listen(t, "unix")
	none := callsOf(t, listener, "ask about ourselves often", 0)
	got := callsOf(t, listener, "ask about ourselves often", questions)
	if n := got["getsockopt"] - none["getsockopt"]; n != questions+1 {
		t.Errorf("getsockopt was called %d times for %d questions, want once more", n, questions)
	}
}

// helperAskAboutOurselvesOften is its own server.
func helperAskAboutOurselvesOften(r role) error {
	listener, err := net.Listen("unix", abstract())
	if err != nil {
		return err
	}
	defer listener.Close()
	r.Network, r.Address = "unix", listener.Addr().String()
	return helperAskOften(r)
}

// helperAskWithoutDescriptors asks about a connection to its parent and one to itself while
// no descriptor can be opened to check the kernel. Then it asks about itself again while one
// can.
func helperAskWithoutDescriptors(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fds[0]), "socketpair")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(fds[1] + 1), Max: limit.Max}); err != nil {
		return err
	}
	for err == nil { // fill the gaps below
		_, err = unix.Dup(fds[0])
	}
	if err != unix.EMFILE {
		return fmt.Errorf("dup: %w", err)
	}
	for _, conn := range []syscall.Conn{conn.(*net.UnixConn), struct{ *net.UnixConn }{conn.(*net.UnixConn)}, file} {
		peer, err := peercred.GetPeerCredentialsOf(conn)
		if err := reexec.Report(report{Peer: peer, Err: errString(err)}); err != nil {
			return err
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	peer, err := peercred.GetPeerCredentialsOf(file)
	return reexec.Report(report{PID: os.Getpid(), Peer: peer, Err: errString(err)})
}

// ourSocket is the descriptor that a wrong kernel returns for every new socket.
const ourSocket = 100

// helperAskWrongKernel asks on a kernel whose new sockets have this process as their
// peer, without being connected.
func helperAskWrongKernel(role) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fds[1]), "socketpair")
	conn, err := net.FileConn(file)
	if err != nil {
		return err
	}
	questions := map[string]func() (any, error){
		"file": func() (any, error) { return peercred.GetPeerCredentialsOf(file) },
		"conn": func() (any, error) { return peercred.GetPeerCredentials(conn) },
		// Of another type's descriptor the credentials are asked too, for their error.
		"groups": func() (any, error) {
			return peercred.GetPeerGroups(struct{ *net.UnixConn }{conn.(*net.UnixConn)})
		},
	}
	for _, i := range implementations {
		questions[i.name] = func() (any, error) { return i.answersForCaller() }
	}
	said := map[string]string{}
	for name, ask := range questions {
		if err := unix.Dup3(fds[0], ourSocket, unix.O_CLOEXEC); err != nil { // the question closes it
			return err
		}
		answer, err := ask()
		said[name] = fmt.Sprintf("%v, %v", answer, err)
	}
	return reexec.Report(said)
}
