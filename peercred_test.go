// The tests of peercred ask every linked implementation about the same sockets, and compare
// values and errno. Peers are real processes under other ids and in other namespaces. They
// execute this binary again.
//
// TestTrapNN tests, here and in other packages, a trap of Unix-socket credentials:
//
//	1 root by accident          9 numbers by hand
//	2 fail-open stubs          10 ask right after accept
//	3 success without a peer   11 Control, never File
//	4 pid 0, high ids          12 listen and chmod
//	5 NetBSD's connecting end  13 a kernel that answers for the caller
//	6 connector is not writer
//	7 a pid is not an identity
//	8 no credentials as text
package peercred_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// answer is an implementation's answer about a descriptor, for cmp.Diff.
type answer struct {
	PID      int32
	UID, GID uint32
	Err      string
}

func (i implementation) ask(fd int) answer {
	pid, uid, gid, err := i.credentials(fd)
	return answer{pid, uid, gid, errString(err)}
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ourselves is the answer that names this process.
func ourselves() answer {
	return answer{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

func (a answer) credentials() *peercred.PeerCredentials {
	return &peercred.PeerCredentials{PID: a.PID, UID: a.UID, GID: a.GID}
}

// told reports whether this system reports credentials at all.
var told = runtime.GOOS != "windows" && runtime.GOOS != "plan9" && runtime.GOOS != "js" && runtime.GOOS != "wasip1"

func skipUnlessTold(t testing.TB) {
	if !told {
		t.Skipf("%s does not report the credentials of a socket's peer; TestTrap02UnsupportedIsAnError covers it", runtime.GOOS)
	}
}

// connect returns both ends of a connection within this process.
func connect(t testing.TB) (server, client *net.UnixConn) {
	t.Helper()
	return connectOver(t, "unix", filepath.Join(t.TempDir(), "s"))
}

func connectOver(t testing.TB, network, address string) (server, client *net.UnixConn) {
	t.Helper()
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: address, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err = net.DialUnix(network, nil, &net.UnixAddr{Name: address, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

func TestServerSeesThisProcess(t *testing.T) {
	skipUnlessTold(t)
	server, _ := connect(t)
	got, err := peercred.GetPeerCredentials(server)
	if err != nil {
		t.Fatalf("GetPeerCredentials: %v, want %v", err, ourselves().credentials())
	}
	want := ourselves().credentials()
	if runtime.GOOS == "dragonfly" {
		want.PID = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the server sees (-want +got):\n%s", diff)
	}
}

func TestClientSeesThisProcess(t *testing.T) {
	skipUnlessTold(t)
	_, client := connect(t)
	got, err := peercred.GetPeerCredentials(client)
	if runtime.GOOS == "netbsd" {
		var unavailable *peercred.ErrPeerCredentialsUnavailable
		if got != nil || !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason, "connecting end") {
			t.Errorf("NetBSD's connecting end: %v, %v, want a reason that names it", got, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := ourselves().credentials()
	if runtime.GOOS == "dragonfly" {
		want.PID = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the client sees (-want +got):\n%s", diff)
	}
}

func TestGetPeerCredentialsOf(t *testing.T) {
	skipUnlessTold(t)
	server, _ := connect(t)
	file, err := server.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := peercred.GetPeerCredentials(server)
	if err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]syscall.Conn{
		"*net.UnixConn": server,
		"*os.File":      file,
		"a wrapper":     struct{ *net.UnixConn }{server},
	} {
		got, err := peercred.GetPeerCredentialsOf(conn)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTCPIsNotAUnixSocket(t *testing.T) {
	conn := dialTCP(t)
	got, err := peercred.GetPeerCredentials(conn)
	var notUnix *peercred.ErrNotUnixSocket
	if got != nil || !errors.As(err, &notUnix) || notUnix.ConnType != "TCP" {
		t.Fatalf("GetPeerCredentials of TCP: %v, %v, want *ErrNotUnixSocket{TCP}", got, err)
	}
	if want := "peer credentials only available for Unix sockets, got TCP"; err.Error() != want {
		t.Errorf("the error reads %q, want %q", err, want)
	}
}

func dialTCP(t testing.TB) *net.TCPConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func TestTrap02UnsupportedIsAnError(t *testing.T) {
	if told {
		// The error itself, on a system that does not produce it.
		err := error(&peercred.ErrPeerCredentialsUnavailable{Platform: "windows", Reason: "it does not report them"})
		if want := "peer credentials unavailable on windows: it does not report them"; err.Error() != want {
			t.Errorf("the error reads %q, want %q", err, want)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("errors.Is(%v, errors.ErrUnsupported) = false", err)
		}
		if errors.Is(err, os.ErrNotExist) {
			t.Errorf("errors.Is(%v, os.ErrNotExist) = true", err)
		}
		return
	}
	server, client := connect(t)
	for _, conn := range []net.Conn{server, client} {
		got, err := peercred.GetPeerCredentials(conn)
		var unavailable *peercred.ErrPeerCredentialsUnavailable
		if got != nil || !errors.As(err, &unavailable) || unavailable.Platform != runtime.GOOS || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("GetPeerCredentials: %v, %v, want *ErrPeerCredentialsUnavailable of %s", got, err, runtime.GOOS)
		}
	}
	for _, i := range implementations {
		if got, want := i.ask(0), (answer{Err: i.ask(0).Err}); got != want || got.Err == "" {
			t.Errorf("%s.Credentials: %+v, want an error and zeroes", i.name, got)
		}
	}
}

func TestImplementationNamesTheLinkedOne(t *testing.T) {
	if peercred.Implementation != linkedImplementation {
		t.Errorf("Implementation = %q, want %q", peercred.Implementation, linkedImplementation)
	}
}

func TestString(t *testing.T) {
	for _, test := range []struct {
		in   *peercred.PeerCredentials
		want string
	}{
		{&peercred.PeerCredentials{PID: 12345, UID: 1000, GID: 1000}, "pid=12345 uid=1000 gid=1000"},
		{&peercred.PeerCredentials{}, "pid=0 uid=0 gid=0"},
		{&peercred.PeerCredentials{PID: 2147483647, UID: 4294967294, GID: 4294967295}, "pid=2147483647 uid=4294967294 gid=4294967295"},
		{nil, "<nil>"},
	} {
		if got := test.in.String(); got != test.want {
			t.Errorf("String() = %q, want %q", got, test.want)
		}
	}
}

func TestJSONNames(t *testing.T) {
	got, err := json.Marshal(peercred.PeerCredentials{PID: 1, UID: 4294967294, GID: 3})
	if want := `{"pid":1,"uid":4294967294,"gid":3}`; err != nil || string(got) != want {
		t.Errorf("json.Marshal = %s, %v, want %s", got, err, want)
	}
}

// The names in Support's JSON, one fact with all of its fields.
func TestSupportJSONNames(t *testing.T) {
	full := peercred.Fact{
		Available: true, Reason: "r", Note: "n", Call: "c", Server: peercred.AtConnect, Client: peercred.AtListen,
		Pair: peercred.AtSocketpair, SurvivesExit: true, Limit: 16,
	}
	const none = `{"available":false,"survives_exit":false}`
	want := `{"system":"s","implementation":"i","pid":{"available":true,"reason":"r","note":"n","call":"c",` +
		`"server":"connect","client":"listen","pair":"socketpair","survives_exit":true,"limit":16},` +
		`"uid":` + none + `,"gid":` + none + `,"groups":` + none + `,"security_label":` + none + `,"process":` + none + `,"audit_token":` + none +
		`,"loopback_uid":` + none + `,"sender":` + none + `}`
	got, err := json.Marshal(peercred.Info{System: "s", Implementation: "i", PID: full})
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("json.Marshal: %v (-want +got):\n%s", err, diff)
	}
}

func TestLogValue(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && groups == nil {
				return slog.Attr{}
			}
			return a
		},
	}))
	peer := &peercred.PeerCredentials{PID: 12345, UID: 4294967294, GID: 1000}
	logger.Info("connected", "peer", peer)
	logger.Info("denied", "peer", (*peercred.PeerCredentials)(nil))
	want := "level=INFO msg=connected peer.pid=12345 peer.uid=4294967294 peer.gid=1000\n" +
		"level=INFO msg=denied peer=<nil>\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("the log of a peer, and of none (-want +got):\n%s", diff)
	}
}

// A program that parsed credentials from a text with bytes that the client chose took
// anybody for root (CVE-2019-7304). Nothing here parses what String and LogValue write.
func TestTrap08NoParser(t *testing.T) {
	for method := range reflect.TypeFor[*peercred.PeerCredentials]().Methods() {
		switch method.Name {
		case "String", "LogValue":
		default:
			t.Errorf("PeerCredentials has a method %s: if it reads credentials from text, it must go", method.Name)
		}
	}
}
