package guard

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Dial says what is wrong with an address. Package net only calls it invalid.
func TestDialRefusesAddresses(t *testing.T) {
	for _, test := range []struct {
		network, address string
		as               error
		text             string
	}{
		{"tcp", "127.0.0.1:1", net.UnknownNetworkError("tcp"), `dial tcp 127.0.0.1:1: unknown network tcp: it must be "unix" or "unixpacket"`},
		{"unixgram", "/s", net.UnknownNetworkError("unixgram"), `dial unixgram /s: unknown network unixgram: it must be "unix" or "unixpacket"`},
		{"", "/s", net.UnknownNetworkError(""), `dial /s: unknown network : it must be "unix" or "unixpacket"`},
		{"unix", "/s\x00/t", syscall.EINVAL, `the address "/s\x00/t" has a NUL byte: invalid argument`},
		{"unix", "\x00s", syscall.EINVAL, `the address "\x00s" has a NUL byte: invalid argument`},
		{"unix", "", nil, "dial unix: missing address"},
	} {
		conn, err := Dial(t.Context(), test.network, test.address, everybody())
		_, ok := errors.AsType[*net.OpError](err)
		if conn != nil || !ok || test.as != nil && !errors.Is(err, test.as) || !strings.HasSuffix(err.Error(), test.text) {
			t.Errorf("Dial(%q, %q) = %v, %v, want %v that ends with %q", test.network, test.address, conn, err, test.as, test.text)
		}
	}
}

// The longest addresses reach the kernel, which finds no socket there. The error for longer
// ones says how long they may be.
func TestDialTooLong(t *testing.T) {
	if maxPath > 1<<16 {
		t.Skip("the limit of this system is not known")
	}
	for name, prefix := range map[string]string{"path": filepath.Join(t.TempDir(), "s"), "name": "@peercred-guard-nobody-"} {
		longest := maxPath
		if isAbstract(prefix) {
			longest++
		}
		fits := prefix + strings.Repeat("x", longest-len(prefix))
		_, err := Dial(t.Context(), "unix", fits, everybody())
		if err == nil || errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), ": connect: ") {
			t.Errorf("%s of %d bytes: %v, want an error of connect(2)", name, len(fits), err)
		}
		_, err = Dial(t.Context(), "unix", fits+"x", everybody())
		if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "has at most ") || !strings.Contains(err.Error(), "use a shorter one") {
			t.Errorf("%s of %d bytes: %v, want EINVAL and the limit", name, len(fits)+1, err)
		}
	}
}
