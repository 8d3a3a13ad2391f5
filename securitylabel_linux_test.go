//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/peercred"
)

// labelVariable has the label that every socket has on this kernel. It is empty if no
// security module labels sockets.
const labelVariable = "PEERCRED_TEST_SECURITY_LABEL"

func TestSecurityLabel(t *testing.T) {
	want := os.Getenv(labelVariable)
	for _, network := range []string{"unix", "unixpacket"} {
		server, client := connectOver(t, network, abstract())
		for _, conn := range []netAndSyscallConn{server, client} {
			for _, i := range implementations {
				got, err := i.securityLabel(descriptor(t, conn))
				if got != want || (err == nil) != (want != "") || (err != nil && !errors.Is(err, errors.ErrUnsupported)) {
					t.Errorf("%s.SecurityLabel = %q, %v, want %q; %s=%q", i.name, got, err, want, labelVariable, want)
				}
			}
			got, err := peercred.GetPeerSecurityLabel(conn)
			if got != want {
				t.Errorf("GetPeerSecurityLabel = %q, %v, want %q", got, err, want)
			}
			var unavailable *peercred.ErrPeerCredentialsUnavailable
			const says = "failed to get the peer's security label: unavailable on linux: getsockopt(SO_PEERSEC): "
			if want == "" && (!errors.As(err, &unavailable) || !errors.Is(err, errors.ErrUnsupported) || !strings.HasPrefix(err.Error(), says)) {
				t.Errorf("GetPeerSecurityLabel: %v, want *ErrPeerCredentialsUnavailable that says %q", err, says)
			}
		}
	}
}

// confinedVariable has the path for an executable, if AppArmor has a profile for that path.
// confinedLabelVariable has the label of its processes.
const (
	confinedVariable      = "PEERCRED_TEST_CONFINED_EXECUTABLE"
	confinedLabelVariable = "PEERCRED_TEST_CONFINED_LABEL"
)

// If AppArmor labels sockets, the label of a peer with a profile is the profile.
func TestSecurityLabelOfAConfinedPeer(t *testing.T) {
	executable, want := os.Getenv(confinedVariable), os.Getenv(confinedLabelVariable)
	if executable == "" {
		t.Skipf("needs a profile of AppArmor: %s is empty", confinedVariable)
	}
	copyFile(t, "/proc/self/exe", executable)
	t.Cleanup(func() { os.Remove(executable) })
	peer, server := connected(t, role{Do: "connect"}, withExecutable(executable))
	current, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", peer.PID()))
	if string(current) != want+"\n" {
		t.Fatalf("the peer's own label is %q, %v, want %q", current, err, want)
	}
	if os.Getenv(labelVariable) == "" {
		want = ""
	}
	for _, i := range implementations {
		if got, err := i.securityLabel(descriptor(t, server)); got != want || (err == nil) != (want != "") {
			t.Errorf("%s.SecurityLabel = %q, %v, want %q", i.name, got, err, want)
		}
	}
	if got, err := peercred.GetPeerSecurityLabel(server); got != want || (err == nil) != (want != "") {
		t.Errorf("GetPeerSecurityLabel = %q, %v, want %q", got, err, want)
	}
}

// SELinux also labels sockets without a peer. Their label is an error.
func TestSecurityLabelWithoutAPeer(t *testing.T) {
	for _, state := range states() {
		t.Run(state.name, func(t *testing.T) {
			fd := state.fd(t)
			first, firstErr := implementations[0].securityLabel(fd)
			for _, i := range implementations[1:] {
				if got, err := i.securityLabel(fd); got != first || errString(err) != errString(firstErr) {
					t.Errorf("%s.SecurityLabel = %q, %v, %s %q, %v", implementations[0].name, first, firstErr, i.name, got, err)
				}
			}
			got, err := peercred.GetPeerSecurityLabel(foreign{raw: control(func(f func(uintptr)) error { f(uintptr(fd)); return nil })})
			hasPeer := state.want.Err == "" && state.noPeerBy == nil
			if !hasPeer && (got != "" || err == nil) {
				t.Errorf("GetPeerSecurityLabel = %q, %v, want an error", got, err)
			}
		})
	}
}
