//go:build cgo || !android

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
)

// The sender of a datagram is shown, as JSON and as text.
func TestListenForDatagrams(t *testing.T) {
	dir := t.TempDir()
	address, from := filepath.Join(dir, "s"), filepath.Join(dir, "client")
	for _, format := range []string{"--json", "--json=false"} {
		p := start(t, "listen", "--datagram", "--once", format, address)
		line, err := p.stderr.ReadString('\n')
		if strings.Contains(line, "does not report the sender") {
			t.Skipf("needs SO_PASSCRED: %s", line)
		}
		if line != "listening on "+address+"\n" {
			t.Fatalf("peercred listen said %q, %v", line, err)
		}
		client, err := net.DialUnix("unixgram", &net.UnixAddr{Name: from, Net: "unixgram"}, &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(client, "hello")
		code, stdout, stderr := p.end(t)
		client.Close()
		os.Remove(from)
		if code != 0 || stderr != "" {
			t.Errorf("exit %d, %s", code, stderr)
		}
		self := peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
		if format != "--json" {
			if want := fmt.Sprintf("pid=%d uid=%d", self.PID, self.UID); !strings.HasPrefix(stdout, want) || !strings.Contains(stdout, " bytes=5 from="+from+"\n") {
				t.Errorf("%s, want %s and the rest", stdout, want)
			}
			continue
		}
		var got datagram
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatalf("%q: %v", stdout, err)
		}
		if diff := cmp.Diff(self, *got.PeerCredentials); diff != "" || got.Bytes != 5 || got.From != from {
			t.Errorf("%+v (-want +got):\n%s", got, diff)
		}
	}
}
