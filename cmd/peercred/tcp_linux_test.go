//go:build cgo || !android

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// startOnTCP starts "peercred listen" on a free port of loopback, and returns the address for
// "peercred dial".
func startOnTCP(t *testing.T, args ...string) (p *process, address string) {
	t.Helper()
	p = start(t, append([]string{"listen", "tcp:127.0.0.1:0"}, args...)...)
	line, err := p.stderr.ReadString('\n')
	if strings.Contains(line, "failed to get the loopback peer's uid") {
		t.Skipf("needs tcp_diag: %s", line)
	}
	address, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "listening on ")
	if !ok {
		t.Fatalf("peercred listen said %q, %v", line, err)
	}
	return p, address
}

// Both ends show the uid and the address of the other, and nothing else.
func TestListenAndDialOnTCP(t *testing.T) {
	uid := uint32(os.Geteuid())
	for range 10 { // a server that closes first would not be known now and then
		listener, address := startOnTCP(t, "--once", "--json")
		code, saw, said := runArgs("dial", "--json", "--timeout", "1m", address)
		if code != 0 {
			t.Fatalf("dial: exit %d, %s%s", code, saw, said)
		}
		var server, client loopbackPeer
		if err := json.Unmarshal([]byte(saw), &server); err != nil {
			t.Fatalf("dial printed %q: %v", saw, err)
		}
		want := loopbackPeer{uid, userName(uid), netip.MustParseAddrPort(strings.TrimPrefix(address, "tcp:"))}
		if diff := cmp.Diff(want, server, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("dial (-want +got):\n%s", diff)
		}
		code, saw, said = listener.end(t)
		if err := json.Unmarshal([]byte(saw), &client); err != nil || code != 0 || client.UID != uid || !client.Address.Addr().IsLoopback() {
			t.Errorf("listen: exit %d, %s%s: %v", code, saw, said, err)
		}
	}
}

func TestLoopbackPeerText(t *testing.T) {
	var got bytes.Buffer
	p := loopbackPeer{0, "root", netip.MustParseAddrPort("[::1]:80")}
	if err := p.show(&got, false, nil); err != nil || got.String() != "uid=0(root) address=[::1]:80\n" {
		t.Errorf("%q, %v", &got, err)
	}
	got.Reset()
	if err := p.show(&got, true, nil); err != nil || got.String() != `{"uid":0,"user":"root","address":"[::1]:80"}`+"\n" {
		t.Errorf("%q, %v", &got, err)
	}
}

// A peer that no --allow flag names is denied, at either end.
func TestAllowOnTCP(t *testing.T) {
	other := fmt.Sprint(os.Geteuid() + 1)
	listener, address := startOnTCP(t, "--allow-uid", other)
	code, _, stderr := runArgs("dial", "--timeout", "1m", address)
	if code != 1 || !strings.Contains(stderr, "denied") {
		t.Errorf("dial: exit %d, %s, want 1 and that it was denied", code, stderr)
	}
	line, err := listener.stderr.ReadString('\n')
	if want := fmt.Sprintf("peercred listen: peer denied, uid=%d address=127.0.0.1:", os.Geteuid()); !strings.HasPrefix(line, want) {
		t.Errorf("listen: %q, %v, want %q", line, err, want)
	}
	listener.Process.Signal(syscall.SIGTERM)
	if code, stdout, _ := listener.end(t); code != 0 || stdout != "" {
		t.Errorf("listen: exit %d, %s", code, stdout)
	}

	_, address = startOnTCP(t)
	code, stdout, stderr := runArgs("dial", "--timeout", "1m", "--allow-uid", other, address)
	if want := fmt.Sprintf("peer denied, uid=%d address=%s", os.Geteuid(), strings.TrimPrefix(address, "tcp:")); code != 1 || stdout != "" || !strings.Contains(stderr, want) {
		t.Errorf("dial: exit %d, %s%s, want 1 and %q", code, stdout, stderr, want)
	}
}

// A mistake with TCP says what to do.
func TestMistakesOnTCP(t *testing.T) {
	_, address := startOnTCP(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, test := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"listen", "tcp:0.0.0.0:0"}, 1, "0.0.0.0 is not a loopback address"},
		{[]string{"listen", "tcp::0"}, 1, "has no host"},
		{[]string{"listen", "tcp:127.0.0.1:0", "--mode", "666"}, 2, "TCP and a name in the abstract namespace have no mode"},
		{[]string{"listen", address}, 1, "address already in use"},
		{[]string{"dial", "tcp:192.0.2.1:1"}, 1, "192.0.2.1 is not a loopback address"},
		{[]string{"dial", "--timeout", "0", address}, 2, "the server is known only once it has accepted"},
		{[]string{"dial", "--timeout", "200ms", "tcp:" + silent.Addr().String()}, 1, "dial tcp "},
		{[]string{"dial", "./tcp:x"}, 1, "dial unix ./tcp:x: connect: no such file"},
	} {
		code, stdout, stderr := runArgs(test.args...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.stderr) {
			t.Errorf("peercred %q: exit %d, %s%s; want %d, %q", test.args, code, stdout, stderr, test.code, test.stderr)
		}
	}
}
