//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// kernelVariable says that the tests run on a kernel that answers for the
// caller, so that it is an error if that one answers right, and the other way
// round on all others.
const kernelVariable = "PEERCRED_TEST_KERNEL_ANSWERS_FOR_CALLER"

func TestTrap13Kernel(t *testing.T) {
	wrongKernel := os.Getenv(kernelVariable) != ""
	for _, i := range implementations {
		if got, err := i.answersForCaller(); got != wrongKernel || err != nil {
			t.Fatalf("%s.AnswersForCaller() = %v, %v, want %v; %s=%q", i.name, got, err, wrongKernel, kernelVariable, os.Getenv(kernelVariable))
		}
	}
	needRoot(t)
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

// packetEndsVariable says that the tests run on a kernel that confuses the ends of a
// connection of SOCK_SEQPACKET, so that it is an error if that one does not.
const packetEndsVariable = "PEERCRED_TEST_KERNEL_CONFUSES_PACKET_ENDS"

// toldNetworks are those of whose connections this kernel tells the peer.
func toldNetworks() []string {
	if os.Getenv(packetEndsVariable) != "" {
		return []string{"unix"}
	}
	return []string{"unix", "unixpacket"}
}

// Whom an accepted seqpacket socket names on such a kernel is the server, root or not.
func TestTrap13PacketEnds(t *testing.T) {
	needRoot(t)
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

// unavailable asserts that every public way says so, and with the reason.
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

// Where the kernel cannot be asked whether it answers for the caller, there is
// no value; and the failure is not remembered.
func TestTrap13KernelCannotBeAsked(t *testing.T) {
	if os.Getenv(kernelVariable) != "" {
		t.Skip("this kernel can be asked, and answers for the caller; TestTrap13Kernel covers it")
	}
	helper := start(t, role{Do: "ask without descriptors"})
	without, with := helper.report(), helper.report()
	helper.Finish()
	if without.Peer != nil || !strings.HasPrefix(without.Err, "peer credentials unavailable on linux: ") || !strings.Contains(without.Err, "too many open files") {
		t.Errorf("without a free descriptor: %v, %q, want unavailable and the reason", without.Peer, without.Err)
	}
	want := ourselves().credentials()
	want.PID = int32(with.PID)
	if diff := cmp.Diff(want, with.Peer); diff != "" {
		t.Errorf("with one: %s (-want +got):\n%s", with.Err, diff)
	}
}

// A kernel that answers for the caller is found out on others too: here socket(2) is made
// to give a socket whose peer is this process.
func TestTrap13ImitatedKernel(t *testing.T) {
	var got map[string]string
	runForged(t, role{Do: "ask a wrong kernel"}, fmt.Sprintf("socket:retval=%d", ourSocket), &got)
	const refusal = "peer credentials unavailable on linux: the kernel names this process itself as the peer of every Unix socket (gVisor before November 2025 does)"
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
