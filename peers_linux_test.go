//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
)

type netAndSyscallConn interface {
	net.Conn
	syscall.Conn
}

// asks are the public functions that answer about conn.
func asks(conn netAndSyscallConn) map[string]func() (*peercred.PeerCredentials, error) {
	return map[string]func() (*peercred.PeerCredentials, error){
		"GetPeerCredentials":              func() (*peercred.PeerCredentials, error) { return peercred.GetPeerCredentials(conn) },
		"GetPeerCredentials of a wrapper": func() (*peercred.PeerCredentials, error) { return peercred.GetPeerCredentials(nest(conn, 1)) },
		"GetPeerCredentialsOf":            func() (*peercred.PeerCredentials, error) { return peercred.GetPeerCredentialsOf(conn) },
		"GetPeerCredentialsOf of a wrapper": func() (*peercred.PeerCredentials, error) {
			return peercred.GetPeerCredentialsOf(struct{ syscall.Conn }{conn})
		},
	}
}

func isErrno(err error, errno syscall.Errno) bool { return errors.Is(err, errno) }

// seen asserts that all implementations and all public ways see want at the
// other end of conn.
func seen(t testing.TB, conn *net.UnixConn, want answer) {
	t.Helper()
	agree(t, descriptor(t, conn), want)
	for name, ask := range asks(conn) {
		got, err := ask()
		if err != nil {
			t.Errorf("%s: %v, want %v", name, err, want.credentials())
			continue
		}
		if diff := cmp.Diff(want.credentials(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func connectRole(listener *net.UnixListener, uid, gid uint32) role {
	return role{Do: "connect", Network: listener.Addr().Network(), Address: listener.Addr().String(), UID: &uid, GID: &gid}
}

func TestTrap04HighIDs(t *testing.T) {
	reexec.NeedRoot(t)
	for _, ids := range []struct{ uid, gid uint32 }{
		{1, 1}, {1, 2}, {0, 1}, {65534, 65534},
		{2147483647, 2147483648}, {2147483648, 2147483647},
		{4294967294, 1}, {1, 4294967294}, {4294967294, 4294967294},
	} {
		for _, network := range toldNetworks() {
			t.Run(fmt.Sprintf("%s uid %d gid %d", network, ids.uid, ids.gid), func(t *testing.T) {
				listener := listen(t, network)
				peer := start(t, connectRole(listener, ids.uid, ids.gid))
				peer.Expect("connected")
				seen(t, accept(t, listener), answer{PID: peer.PID(), UID: ids.uid, GID: ids.gid})
				peer.Finish()
			})
		}
	}
}

func TestClientSeesServer(t *testing.T) {
	reexec.NeedRoot(t)
	address := abstract()
	uid, gid := uint32(2147483648), uint32(1234)
	server := start(t, role{Do: "serve", Network: "unix", Address: address, UID: &uid, GID: &gid})
	server.Expect("listening")
	conn, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := answer{PID: server.PID(), UID: uid, GID: gid}
	seen(t, conn.(*net.UnixConn), want) // before accept, even
	server.Proceed()
	server.Expect("accepted")
	seen(t, conn.(*net.UnixConn), want)
	server.Finish()
	seen(t, conn.(*net.UnixConn), want)
}

// The answer stays that of connect time.
func TestSetuidAfterConnect(t *testing.T) {
	reexec.NeedRoot(t)
	listener := listen(t, "unix")
	then := uint32(4242)
	r := connectRole(listener, 0, 17)
	r.Then = &then
	peer := start(t, r)
	peer.Expect("connected")
	conn := accept(t, listener)
	want := answer{PID: peer.PID(), UID: 0, GID: 17}
	seen(t, conn, want)
	peer.Proceed()
	peer.Expect("changed")
	seen(t, conn, want)
	peer.Finish()
}

// The answer stays the same after the peer has exited and after it has been reaped. The pid
// may then belong to no process or to another one.
func TestTrap07PeerGone(t *testing.T) {
	for _, network := range toldNetworks() {
		listener := listen(t, network)
		peer := start(t, role{Do: "connect", Network: network, Address: listener.Addr().String()})
		peer.Expect("connected")
		conn := accept(t, listener)
		want := ourselves()
		want.PID = peer.PID()
		seen(t, conn, want)

		peer.EndStdin()
		var exited unix.Siginfo
		if err := unix.Waitid(unix.P_PID, int(peer.PID()), &exited, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		seen(t, conn, want) // a zombie

		peer.Finish()
		if err := unix.Kill(int(want.PID), 0); err != unix.ESRCH {
			t.Logf("pid %d is taken again: %v", want.PID, err)
		}
		seen(t, conn, want) // reaped
	}
}

// The kernel names the process that connected, even if another process has the descriptor.
func TestTrap06ConnectorIsNotWriter(t *testing.T) {
	reexec.NeedRoot(t)
	listener := listen(t, "unix")
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	r := connectRole(listener, 1, 2)
	r.Do = "pass"
	peer := start(t, r, withFile(theirs))
	theirs.Close()
	passed := receiveDescriptor(t, int(ours.Fd()))
	peer.Finish()

	conn := accept(t, listener)
	if _, err := unix.Write(passed, []byte("from the test, not from the peer")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 100)); n == 0 {
		t.Fatal(err)
	}
	seen(t, conn, answer{PID: peer.PID(), UID: 1, GID: 2})
	agree(t, passed, ourselves()) // the other way: we listen
}

func receiveDescriptor(t *testing.T, from int) int {
	t.Helper()
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(from, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d control messages: %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%d descriptors: %v", len(fds), err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	return fds[0]
}

// An inherited descriptor answers as in the process that it came from.
func TestInheritedDescriptor(t *testing.T) {
	server, client := connectOver(t, "unix", abstract())
	for _, conn := range []*net.UnixConn{server, client} {
		file, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		child := start(t, role{Do: "ask 3"}, withFile(file))
		file.Close()
		for name, got := range child.report().Implementations {
			if diff := cmp.Diff(ourselves(), got); diff != "" {
				t.Errorf("%s in a child, of an inherited descriptor (-want +got):\n%s", name, diff)
			}
		}
		child.Finish()
	}
}

// Outside a pid namespace its processes have a pid. Inside it, processes outside have none.
func TestTrap04PIDZeroFromAnotherNamespace(t *testing.T) {
	reexec.NeedRoot(t)
	t.Run("seen from outside", func(t *testing.T) {
		listener := listen(t, "unix")
		peer := start(t, connectRole(listener, 1, 2), inNamespace(syscall.CLONE_NEWPID, 0, 0))
		peer.Expect("connected")
		seen(t, accept(t, listener), answer{PID: peer.PID(), UID: 1, GID: 2})
		peer.Finish()
	})
	t.Run("seen from inside", func(t *testing.T) {
		seenBy(t, answer{PID: 0, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, inNamespace(syscall.CLONE_NEWPID, 0, 0))
	})
}

// A peer's ids are translated into the user namespace of the process that asks. An id that
// the namespace does not map is 65534.
func TestUserNamespaces(t *testing.T) {
	needUserNamespaces(t)
	t.Run("a peer that is root inside", func(t *testing.T) {
		listener := listen(t, "unix")
		peer := start(t, role{Do: "connect", Network: "unix", Address: listener.Addr().String()},
			inNamespace(syscall.CLONE_NEWUSER, 0, 54321))
		peer.Expect("connected")
		seen(t, accept(t, listener), answer{PID: peer.PID(), UID: 54321, GID: 54321})
		peer.Finish()
	})
	us := ourselves()
	t.Run("a server that maps us", func(t *testing.T) {
		seenBy(t, answer{PID: us.PID, UID: 7, GID: 7}, inNamespace(syscall.CLONE_NEWUSER, 7, 0))
	})
	t.Run("a server that does not map us", func(t *testing.T) {
		seenBy(t, answer{PID: us.PID, UID: 65534, GID: 65534}, inNamespace(syscall.CLONE_NEWUSER, 0, 54321))
	})
	t.Run("a server that knows neither pid nor ids", func(t *testing.T) {
		seenBy(t, answer{PID: 0, UID: 65534, GID: 65534}, inNamespace(syscall.CLONE_NEWUSER|syscall.CLONE_NEWPID, 0, 54321))
	})
}

// seenBy asserts which ids of this process a server in other namespaces sees.
func seenBy(t *testing.T, want answer, where reexec.Option) {
	t.Helper()
	address := abstract()
	server := start(t, role{Do: "serve once", Network: "unix", Address: address}, where)
	server.Expect("listening")
	conn, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server.Proceed()
	got := server.report()
	server.Finish()
	for name, got := range got.Implementations {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s.Credentials (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(want.credentials(), got.Peer); diff != "" || got.Err != "" {
		t.Errorf("GetPeerCredentials: %s (-want +got):\n%s", got.Err, diff)
	}
}

// The facts that Support says survive the peer's exit are still available after it.
func TestSupportAfterTheEnd(t *testing.T) {
	listener := listen(t, "unix")
	peer := start(t, role{Do: "connect", Network: "unix", Address: listener.Addr().String()})
	peer.Expect("connected")
	conn := accept(t, listener)
	peer.Finish()
	support := peercred.Support()
	credentials, err := peercred.GetPeerCredentials(conn)
	_, groupsErr := peercred.GetPeerGroups(conn)
	_, labelErr := peercred.GetPeerSecurityLabel(conn)
	_, processErr := peercred.OpenPeerProcess(conn)
	if err == nil && credentials.PID != peer.PID() {
		t.Errorf("the pid of a peer that is gone is %d, was %d", credentials.PID, peer.PID())
	}
	for _, test := range []struct {
		name string
		fact peercred.Fact
		err  error
	}{
		{"pid", support.PID, err}, {"uid", support.UID, err}, {"gid", support.GID, err}, {"groups", support.Groups, groupsErr},
		{"security label", support.SecurityLabel, labelErr}, {"process", support.Process, processErr},
	} {
		if got, want := test.err == nil, test.fact.Available && test.fact.SurvivesExit; got != want {
			t.Errorf("%s: answered after the peer's end: %v (%v), Support says %v", test.name, got, test.err, want)
		}
	}
}

// helperServeOnce reports the answer of each implementation about one client, and the answer
// of GetPeerCredentials.
func helperServeOnce(r role) error { return acceptOne(r, reportPeer) }

func helperAskInherited(role) error {
	return reexec.Report(report{PID: os.Getpid(), Implementations: askAll(3)})
}

// helperPass connects, sends the connected descriptor through descriptor 3, and exits.
func helperPass(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(fd)), nil, 0) })
	return errors.Join(err, sent)
}
