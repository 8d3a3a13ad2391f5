package guard

import (
	"errors"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

func init() {
	roles["serve"] = helperServe
}

// helperServe listens, and never accepts.
func helperServe(r role) error {
	listener, err := net.Listen("unix", r.Address)
	if err != nil {
		return err
	}
	defer listener.Close()
	reexec.Step("listening")
	return nil
}

// The server of Dial is the process that listens.
func TestDialOtherUsers(t *testing.T) {
	reexec.NeedRoot(t)
	uid, gid, address := uint32(4242), uint32(2424), abstract()
	server := reexec.Start(t, role{Do: "serve", Address: address, UID: &uid, GID: &gid})
	server.Expect("listening")
	conn, err := Dial(t.Context(), "unix", address, UIDs(uid))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := &peercred.PeerCredentials{PID: server.PID(), UID: uid, GID: gid}
	if diff := cmp.Diff(want, conn.Peer().Credentials()); diff != "" {
		t.Errorf("the server (-want +got):\n%s", diff)
	}
	if conn, err := Dial(t.Context(), "unix", address, CurrentUser()); conn != nil || !isDenied(err) {
		t.Errorf("Dial = %v, %v, want *Denied: root is not there", conn, err)
	}
	server.Finish()
}

// connectAndSend connects a client, which sends a descriptor.
func connectAndSend(t *testing.T, address net.Addr, descriptor int) (client int, sent error) {
	t.Helper()
	client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(client) })
	if err := unix.Connect(client, &unix.SockaddrUnix{Name: address.String()}); err != nil {
		t.Fatal(err)
	}
	return client, unix.Sendmsg(client, []byte{0}, unix.UnixRights(descriptor), nil, 0)
}

// A server cannot make a client linger either.
func TestDialRefusesDescriptors(t *testing.T) {
	fd := needPassRights(t)
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: abstract(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	client, err := Dial(t.Context(), "unix", inner.Addr().String(), CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if !client.quick {
		t.Error("a close of the client is not taken for quick")
	}
	server, err := inner.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, _, err := server.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("to send a descriptor to the client: %v, want EPERM", err)
	}
}
