package guard

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

func init() {
	roles["forge"] = helperForge
}

// In these tests a seccomp filter acts as a sandbox. It forbids the calls that the decisions
// require, or reports success without making them. Nobody is admitted, and the denial says
// why.

// forgedPolicies admit the helper itself, if its sockets have labels.
var forgedPolicies = map[string]Policy{
	"uid":     UIDs(uint32(os.Geteuid())),
	"group":   Groups(27),
	"any":     AnyOf(UIDs(4242), Groups(27)),
	"all":     AllOf(UIDs(uint32(os.Geteuid())), Groups(27)),
	"label":   Labels("unconfined"),
	"process": Func("a process that lives", allowLiving),
}

func allowLiving(p Peer) error {
	process, err := p.Process()
	if err != nil {
		return err
	}
	return process.Signal(nil)
}

// forgedWays are the ways in, on a connection of the helper to itself.
var forgedWays = map[string]func(net.Listener, Policy) error{
	"Accept": func(inner net.Listener, policy Policy) error {
		return acceptForged(inner, policy, newListener) // which was made while all was well
	},
	"NewListener": func(inner net.Listener, policy Policy) error {
		return acceptForged(inner, policy, NewListener)
	},
	"Admit": func(inner net.Listener, policy Policy) error {
		client, err := net.Dial("unix", inner.Addr().String())
		if err != nil {
			return err
		}
		defer client.Close()
		conn, err := inner.Accept()
		if err != nil {
			return err
		}
		admitted, err := Admit(conn, policy)
		if (admitted == nil) == (err == nil) {
			return errors.New("Admit: want either a connection or an error")
		}
		if err == nil {
			admitted.Close()
		}
		return err
	},
	"Dial": func(inner net.Listener, policy Policy) error {
		conn, err := Dial(context.Background(), "unix", inner.Addr().String(), policy)
		if (conn == nil) == (err == nil) {
			return errors.New("Dial: want either a connection or an error")
		}
		if err == nil {
			conn.Close()
		}
		return err
	},
}

func acceptForged(inner net.Listener, policy Policy, guard func(net.Listener, Config) (*Listener, error)) error {
	denied := make(chan error, 1)
	listener, err := guard(inner, Config{Policy: policy, OnDeny: func(d *Denied) { denied <- d }})
	if err != nil {
		return err
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err
	}()
	client, err := net.Dial("unix", inner.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	select {
	case err := <-denied:
		return err
	case err := <-accepted:
		return err
	}
}

// forgedEntry is what became of one try.
type forgedEntry struct {
	Forged syscall.Errno
	Err    string // "" for a peer that was admitted
	Denied bool
	Failed bool // Denied.Failed
	Wraps  bool // errors.Is(err, Forged)
}

func forgedEntryOf(errno syscall.Errno, err error) forgedEntry {
	if err == nil {
		return forgedEntry{Forged: errno}
	}
	denied, ok := errors.AsType[*Denied](err)
	return forgedEntry{errno, err.Error(), ok, ok && denied.Failed, errno != 0 && errors.Is(err, errno)}
}

// helperForge tries a way in while all is well, and once for each errno.
func helperForge(r role) error {
	try := func(errno syscall.Errno) (forgedEntry, error) {
		inner, err := net.Listen("unix", abstract())
		if err != nil {
			return forgedEntry{}, err
		}
		defer inner.Close()
		return forgedEntryOf(errno, forgedWays[r.Way](inner, forgedPolicies[r.Policy])), nil
	}
	honest, err := try(0)
	if err != nil {
		return err
	}
	entries := []forgedEntry{honest}
	for _, errno := range r.Errnos {
		if err := seccomp.Forge(errno, r.Calls...); err != nil {
			return err
		}
		entry, err := try(errno)
		if err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	return reexec.Report(entries)
}

func TestNobodyIsLetInByForgedAnswers(t *testing.T) {
	reexec.NeedRoot(t) // for the groups
	seccomp.Need(t)
	refusals := []syscall.Errno{unix.EPERM, unix.EACCES, unix.EINTR, unix.ENOBUFS, unix.EBADF, unix.EIO, 0}
	for _, test := range []struct {
		policy string
		option int
		says   string
		as     string // what success without a write is
	}{
		{"uid", unix.SO_PEERCRED, `"a known peer": failed to get peer credentials: linux: getsockopt(SO_PEERCRED): `, "protocol error"},
		{"group", unix.SO_PEERCRED, `"a known peer": failed to get peer credentials: linux: getsockopt(SO_PEERCRED): `, "protocol error"},
		{"group", unix.SO_PEERGROUPS, `"group 27": supplementary groups: failed to get the peer's groups: linux: getsockopt(SO_PEERGROUPS): `, "protocol error"},
		{"any", unix.SO_PEERGROUPS, `"any of (uid 4242; group 27)": group 27: supplementary groups: failed to get the peer's groups: linux: getsockopt(SO_PEERGROUPS): `, "protocol error"},
		{"all", unix.SO_PEERGROUPS, `"group 27": supplementary groups: failed to get the peer's groups: linux: getsockopt(SO_PEERGROUPS): `, "protocol error"},
		{"label", unix.SO_PEERSEC, `"security label \"unconfined\"": security label: failed to get the peer's security label: linux: getsockopt(SO_PEERSEC): `, "the label is empty"},
		{"process", unix.SO_PEERPIDFD, `"a process that lives": failed to open the peer's process: linux: getsockopt(SO_PEERPIDFD): `, "protocol error"},
	} {
		for _, way := range []string{"Accept", "Admit", "Dial"} {
			t.Run(way+"/"+test.policy+"/"+strings.TrimSuffix(test.says[strings.LastIndex(test.says, "(")+1:], "): "), func(t *testing.T) {
				var entries []forgedEntry
				r := role{Do: "forge", Way: way, Policy: test.policy, Groups: []int{27}, Calls: []seccomp.Call{seccomp.Option(test.option)}, Errnos: slices.Clone(refusals)}
				reexec.Start(t, r).Decode(&entries)
				if test.policy == "process" && strings.Contains(entries[0].Err, "since 6.5") {
					t.Skip("needs SO_PEERPIDFD, which this kernel does not have: ", entries[0].Err)
				}
				if test.policy != "label" && entries[0].Err != "" {
					t.Errorf("while all is well: %q, want to be admitted", entries[0].Err)
				}
				if len(entries) != 1+len(refusals) {
					t.Fatalf("%d tries, want %d", len(entries), 1+len(refusals))
				}
				for _, got := range entries[1:] {
					says := test.says
					if got.Forged == 0 {
						says = test.as
					}
					decidedOn := test.policy == "process" // by a foreign rule, whose error is a plain denial
					if !got.Denied || got.Failed == decidedOn || !strings.Contains(got.Err, says) || got.Wraps != (got.Forged != 0) {
						t.Errorf("%v: %+v, want a denial that could not be decided, and %q", got.Forged, got, says)
					}
				}
			})
		}
	}
}

// passRights is the call that makes a socket refuse descriptors, or allows them.
var passRights = seccomp.Call{Number: unix.SYS_SETSOCKOPT, Argument: 2, Value: unix.SO_PASSRIGHTS}

// A failure before any peer can be asked about is not a denial. It names its call as well.
func TestForgedConnections(t *testing.T) {
	seccomp.Need(t)
	for _, test := range []struct {
		way, says string
		call      seccomp.Call
	}{
		{"Accept", "accept4: ", seccomp.Any(unix.SYS_ACCEPT4)},
		{"Dial", "connect: ", seccomp.Any(unix.SYS_CONNECT)},
		{"Dial", "setsockopt(SO_PASSRIGHTS): ", passRights},
		{"NewListener", "setsockopt(SO_PASSRIGHTS): ", passRights},
	} {
		t.Run(test.way+"/"+strings.TrimSuffix(test.says, ": "), func(t *testing.T) {
			var entries []forgedEntry
			r := role{Do: "forge", Way: test.way, Policy: "uid", Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{unix.EPERM, unix.EBADF}}
			reexec.Start(t, r).Decode(&entries)
			for _, got := range entries[1:] {
				if got.Denied || !got.Wraps || !strings.Contains(got.Err, test.says) {
					t.Errorf("%v: %+v, want %q", got.Forged, got, test.says)
				}
			}
		})
	}
}

// Listen works on a kernel that cannot refuse descriptors: Linux before 6.16, and emulators.
// Emulators answer an unknown option with errnos of their own.
func TestKernelThatCannotRefuseDescriptors(t *testing.T) {
	seccomp.Need(t)
	unknown := []syscall.Errno{unix.ENOPROTOOPT, unix.EINVAL, unix.EOPNOTSUPP}
	for way := range forgedWays {
		var entries []forgedEntry
		reexec.Start(t, role{Do: "forge", Way: way, Policy: "uid", Calls: []seccomp.Call{passRights}, Errnos: unknown}).Decode(&entries)
		if len(entries) != 1+len(unknown) {
			t.Fatalf("%s: %d tries, want %d", way, len(entries), 1+len(unknown))
		}
		for _, got := range entries {
			if got.Err != "" {
				t.Errorf("%s, %v: %q, want to be admitted", way, got.Forged, got.Err)
			}
		}
	}
}
