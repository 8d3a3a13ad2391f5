//go:build !android

package peercred_test

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
)

func TestNoAllocation(t *testing.T) {
	server, client := connect(t)
	file, err := server.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := peercred.GetPeerCredentials(server); err != nil { // asks about the kernel, once
		t.Fatal(err)
	}
	var sum uint32 // the results are used, but do not escape
	for name, ask := range map[string]func(){
		"GetPeerCredentials, accepted":       func() { sum += uidOf(peercred.GetPeerCredentials(server)) },
		"GetPeerCredentials, connecting":     func() { sum += uidOf(peercred.GetPeerCredentials(client)) },
		"GetPeerCredentialsOf *net.UnixConn": func() { sum += uidOf(peercred.GetPeerCredentialsOf(server)) },
		"GetPeerCredentialsOf *os.File":      func() { sum += uidOf(peercred.GetPeerCredentialsOf(file)) },
	} {
		if n := testing.AllocsPerRun(1000, ask); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func uidOf(p *peercred.PeerCredentials, err error) uint32 {
	if err != nil {
		panic(err)
	}
	return p.UID
}

// GetPeerGroups allocates only the slice that it returns.
func TestGroupsAllocateOnce(t *testing.T) {
	reexec.NeedRoot(t)
	conns := map[int]*net.UnixConn{}
	for _, n := range []int{0, 1, 64} {
		peer, conn := connected(t, role{Do: "connect", Groups: n})
		defer peer.Finish()
		conns[n] = conn
	}
	for n, conn := range conns {
		got := testing.AllocsPerRun(1000, func() {
			if groups, err := peercred.GetPeerGroups(conn); err != nil || len(groups) != n {
				t.Fatal(groups, err)
			}
		})
		if got > float64(min(n, 1)) {
			t.Errorf("%d groups: %v allocations, want %d", n, got, min(n, 1))
		}
	}
}

// One question makes one call of getsockopt, and no other call on a descriptor. For a packet
// connection it also asks for the family, the type and whether it listens. For the groups it
// also asks whether there is a peer.
func TestOneSystemCall(t *testing.T) {
	const questions = 1000
	for _, network := range []string{"unix", "unixpacket"} {
		listener := listen(t, network)
		for do, packets := range map[string]int{"ask often": 4, "ask groups often": 5} {
			want := map[string]int{"getsockopt": questions}
			if network == "unixpacket" {
				want["getsockopt"] *= packets
			}
			one := callsOf(t, listener, do, 1) // before which the kernel may be doubted
			got := callsOf(t, listener, do, 1+questions)
			for name, count := range one {
				got[name] -= count
				if got[name] == 0 {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: the system calls of %d questions (-want +got):\n%s", network, do, questions, diff)
			}
		}
	}
}

var callName = regexp.MustCompile(`^(?:\d+ +)?([a-z0-9_]+)\(`)

// callsOf counts the system calls on sockets, descriptors and identity of a helper that asks
// so many times.
func callsOf(t *testing.T, listener net.Listener, do string, questions int) map[string]int {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	cmd := straced(t, role{Do: do, Network: listener.Addr().Network(), Address: listener.Addr().String(), Count: questions},
		"-o", log, "-e", "trace=%net,dup,dup2,dup3,fcntl,close,getpid,getuid,geteuid,ioctl")
	// The runtime's preemption signals ask for the pid too.
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	counts := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if m := callName.FindStringSubmatch(lines.Text()); m != nil {
			counts[m[1]]++
		}
	}
	if counts["connect"] == 0 {
		t.Fatalf("strace saw no connect: %v", counts)
	}
	return counts
}

// helperAskOften asks Count times about one connection to a peer that is not
// this process.
func helperAskOften(r role) error {
	return askOften(r, func(conn net.Conn) error { _, err := peercred.GetPeerCredentials(conn); return err })
}

func helperAskGroupsOften(r role) error {
	return askOften(r, func(conn net.Conn) error { _, err := peercred.GetPeerGroups(conn); return err })
}

func askOften(r role, ask func(net.Conn) error) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range r.Count {
		if err := ask(conn); err != nil {
			return err
		}
	}
	return nil
}
