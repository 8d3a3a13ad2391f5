//go:build !android

package peercred_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
)

// pidfdVariable is "no" on a kernel without SO_PEERPIDFD. Then the tests fail if the kernel
// has it. Otherwise they fail if the kernel lacks it.
const pidfdVariable = "PEERCRED_TEST_KERNEL_HAS_PIDFD"

func needPidfd(t testing.TB) {
	t.Helper()
	if os.Getenv(pidfdVariable) == "no" {
		t.Skip("needs SO_PEERPIDFD, which this kernel does not have; TestProcessOnAnOlderKernel covers it")
	}
}

// pidfdInfoVariable is the same for PIDFD_GET_INFO. Linux 6.5 to 6.12 has SO_PEERPIDFD and
// lacks it.
const pidfdInfoVariable = "PEERCRED_TEST_KERNEL_HAS_PIDFD_INFO"

func hasPidfdInfo() bool { return os.Getenv(pidfdInfoVariable) != "no" }

func TestProcessOnAnOlderKernel(t *testing.T) {
	if os.Getenv(pidfdVariable) != "no" {
		t.Logf("this kernel is to have SO_PEERPIDFD: %s is not \"no\"", pidfdVariable)
		return
	}
	server, _ := connect(t)
	for _, i := range implementations {
		pidfd, err := i.openProcess(descriptor(t, server))
		if pidfd != -1 || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s.OpenProcess = %d, %v, want unsupported", i.name, pidfd, err)
		}
	}
	p, err := peercred.OpenPeerProcess(server)
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	if p != nil || !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason, "since 6.5") {
		t.Errorf("OpenPeerProcess = %v, %v, want unavailable and the kernel that has it", p, err)
	}
}

// connected starts a peer and returns the accepted end.
func connected(t testing.TB, r role, options ...reexec.Option) (*helper, *net.UnixConn) {
	t.Helper()
	listener := listen(t, "unix")
	r.Network, r.Address = "unix", listener.Addr().String()
	peer := start(t, r, options...)
	peer.Expect("connected")
	return peer, accept(t, listener)
}

func openPeerProcess(t testing.TB, conn net.Conn) *peercred.PeerProcess {
	t.Helper()
	p, err := peercred.OpenPeerProcess(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// leafHandles opens a pidfd through every implementation.
func leafHandles(t testing.TB, conn *net.UnixConn) (pidfds []int) {
	t.Helper()
	for _, i := range implementations {
		pidfd, err := i.openProcess(descriptor(t, conn))
		if err != nil {
			t.Fatalf("%s.OpenProcess: %v", i.name, err)
		}
		t.Cleanup(func() { unix.Close(pidfd) })
		pidfds = append(pidfds, pidfd)
	}
	return pidfds
}

// processAnswer is the answer of an implementation about a pidfd.
type processAnswer struct {
	Exited                            bool
	PID                               int32
	IDs                               [8]uint32
	ExitedErr, PIDErr, IDsErr, Signal string
}

// processAgree compares every implementation with want, each on the pidfds of all.
func processAgree(t testing.TB, pidfds []int, when string, want processAnswer) {
	t.Helper()
	if !hasPidfdInfo() {
		const lacking = "this kernel does not have PIDFD_GET_INFO; Linux has it since 6.13"
		want.PID, want.PIDErr, want.IDs, want.IDsErr = 0, lacking, [8]uint32{}, lacking
	}
	for _, i := range implementations {
		for _, pidfd := range pidfds {
			var got processAnswer
			var err error
			got.Exited, err = i.processExited(pidfd)
			got.ExitedErr = errString(err)
			got.PID, err = i.processPID(pidfd)
			got.PIDErr = errString(err)
			got.IDs, err = i.processIDs(pidfd)
			got.IDsErr = errString(err)
			got.Signal = errString(i.signalProcess(pidfd, nil))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, of a process that is %s (-want +got):\n%s", i.name, when, diff)
			}
		}
	}
}

func sameIDs(uid, gid uint32) [8]uint32 { return [8]uint32{uid, uid, uid, uid, gid, gid, gid, gid} }

func currentCredentials(uid, gid uint32) *peercred.CurrentCredentials {
	return &peercred.CurrentCredentials{
		RealUID: uid, EffectiveUID: uid, SavedUID: uid, FilesystemUID: uid,
		RealGID: gid, EffectiveGID: gid, SavedGID: gid, FilesystemGID: gid,
	}
}

// wantsAlive asserts the results of all methods for a live process.
func wantsAlive(t testing.TB, p *peercred.PeerProcess, pid int32, uid, gid uint32) {
	t.Helper()
	if alive, err := p.Alive(); !alive || err != nil {
		t.Errorf("Alive = %v, %v, want true", alive, err)
	}
	if got, err := p.PID(); got != pid || err != nil {
		t.Errorf("PID = %d, %v, want %d", got, err, pid)
	}
	if err := p.Signal(nil); err != nil {
		t.Errorf("Signal(nil) = %v", err)
	}
	if got, err := p.CurrentCredentials(); cmp.Diff(currentCredentials(uid, gid), got) != "" || err != nil {
		t.Errorf("CurrentCredentials = %+v, %v, want %d and %d", got, err, uid, gid)
	}
	seen := ""
	if err := p.Inspect(func(procfs string) error { seen = procfs; return nil }); err != nil || seen != fmt.Sprintf("/proc/%d", pid) {
		t.Errorf("Inspect showed %q, %v, want /proc/%d", seen, err, pid)
	}
	select {
	case <-p.Done():
		t.Error("Done is closed")
	default:
	}
}

// wantsGone asserts that every method returns an error for a process that is gone, and that
// Inspect returns no findings.
func wantsGone(t testing.TB, p *peercred.PeerProcess, reaped bool) {
	t.Helper()
	if alive, err := p.Alive(); alive || err != nil {
		t.Errorf("Alive = %v, %v, want false", alive, err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Errorf("Wait = %v, want nil", err)
	}
	<-p.Done()
	methods := inspections(p)
	if reaped {
		methods["PID"] = func() error { _, err := p.PID(); return err }
		methods["Signal"] = func() error { return p.Signal(syscall.SIGKILL) }
		methods["CurrentCredentials"] = func() error { _, err := p.CurrentCredentials(); return err }
	}
	for name, method := range methods {
		var gone *peercred.ErrPeerProcessGone
		if err := method(); !errors.As(err, &gone) || !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: %v, want *ErrPeerProcessGone", name, err)
		}
	}
}

// inspections are the methods that read /proc.
func inspections(p *peercred.PeerProcess) map[string]func() error {
	return map[string]func() error{
		"Inspect":    func() error { return p.Inspect(func(string) error { return errors.New("not its business") }) },
		"Executable": func() error { _, _, err := p.Executable(); return err },
		"Cmdline":    func() error { _, err := p.Cmdline(); return err },
		"Cgroup":     func() error { _, err := p.Cgroup(); return err },
		"StartTime":  func() error { _, err := p.StartTime(); return err },
	}
}

// A handle refers to a process until its end, even if its ids change.
func TestProcess(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	uid, gid, then := uint32(0), uint32(17), uint32(4321)
	peer, conn := connected(t, role{Do: "connect", UID: &uid, GID: &gid, Then: &then})
	pidfds := leafHandles(t, conn)
	p := openPeerProcess(t, conn)
	processAgree(t, pidfds, "alive", processAnswer{PID: peer.PID(), IDs: sameIDs(0, 17)})
	wantsAlive(t, p, peer.PID(), 0, 17)

	peer.Proceed()
	peer.Expect("changed")
	processAgree(t, pidfds, "another user by now", processAnswer{PID: peer.PID(), IDs: sameIDs(4321, 17)})
	wantsAlive(t, p, peer.PID(), 4321, 17)

	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	processAgree(t, pidfds, "a zombie", processAnswer{Exited: true, PID: peer.PID(), IDs: sameIDs(4321, 17)})
	wantsGone(t, p, false)
	openPeerProcess(t, conn) // of a zombie

	peer.Reap(unix.SIGKILL)
	processAgree(t, pidfds, "reaped", processAnswer{Exited: true, PIDErr: unix.ESRCH.Error(), IDsErr: unix.ESRCH.Error(), Signal: unix.ESRCH.Error()})
	wantsGone(t, p, true)
	if p, err := peercred.OpenPeerProcess(conn); p != nil || !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("OpenPeerProcess of a reaped peer = %v, %v, want *ErrPeerProcessGone", p, err)
	}
}

// Each current id is in its place, and the credentials are the effective ones.
func TestCurrentIDsInOrder(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	peer, conn := connected(t, role{Do: "connect under six ids"})
	processAgree(t, leafHandles(t, conn), "under six ids", processAnswer{PID: peer.PID(), IDs: [8]uint32{1, 2, 3, 2, 11, 12, 13, 12}})
	want := &peercred.CurrentCredentials{
		RealUID: 1, EffectiveUID: 2, SavedUID: 3, FilesystemUID: 2,
		RealGID: 11, EffectiveGID: 12, SavedGID: 13, FilesystemGID: 12,
	}
	got, err := openPeerProcess(t, conn).CurrentCredentials()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("CurrentCredentials: %v (-want +got):\n%s", err, diff)
	}
	seen(t, conn, answer{PID: peer.PID(), UID: 2, GID: 12})
	peer.Finish()
}

// A process that executed another program is the same process with another executable.
func TestProcessThatExecutes(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect and execute"})
	pidfds := leafHandles(t, conn)
	p := openPeerProcess(t, conn)
	before, err := p.Cmdline()
	if diff := cmp.Diff([]string{"/proc/self/exe"}, before); diff != "" || err != nil {
		t.Errorf("Cmdline: %v (-want +got):\n%s", err, diff)
	}
	asked := time.Now()
	started, err := p.StartTime()
	took := time.Since(asked) // by which it can be wrong: it reads two clocks
	if err != nil {
		t.Fatal(err)
	}
	peer.Proceed()
	peer.Expect("here")
	us := ourselves()
	processAgree(t, pidfds, "executing another program", processAnswer{PID: peer.PID(), IDs: sameIDs(us.UID, us.GID)})
	wantsAlive(t, p, peer.PID(), us.UID, us.GID)
	after, err := p.Cmdline()
	if diff := cmp.Diff([]string{"another name", "an argument"}, after); diff != "" || err != nil {
		t.Errorf("Cmdline after execve: %v (-want +got):\n%s", err, diff)
	}
	asked = time.Now()
	again, err := p.StartTime()
	took += time.Since(asked)
	if difference := again.Sub(started).Abs(); err != nil || difference > took+time.Second {
		t.Errorf("StartTime = %v, then %v, %v: an execve starts no process", started, again, err)
	}
	peer.Finish()
}

// The facts from /proc are those of the peer.
func TestProcessFacts(t *testing.T) {
	needPidfd(t)
	began := time.Now()
	peer, conn := connected(t, role{Do: "connect"})
	p := openPeerProcess(t, conn)

	file, path, err := p.Executable()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if path != want {
		t.Errorf("Executable's path is %q, want %q", path, want)
	}
	if alone, err := p.ExecutablePath(); alone != want || err != nil {
		t.Errorf("ExecutablePath = %q, %v, want %q", alone, err, want)
	}
	got, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	wantInfo, err := os.Stat("/proc/self/exe")
	if err != nil || !os.SameFile(wantInfo, got) {
		t.Errorf("Executable is another file than this test (%v)", err)
	}

	started, err := p.StartTime()
	if early, late := began.Add(-time.Second), time.Now().Add(time.Second); err != nil || started.Before(early) || started.After(late) {
		t.Errorf("StartTime = %v, %v, want one between %v and %v", started, err, early, late)
	}

	text, err := os.ReadFile("/proc/self/cgroup") // the peer's too, which is our child
	if err != nil {
		t.Fatal(err)
	}
	cgroups, err := p.Cgroup()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, c := range cgroups {
		fmt.Fprintf(&lines, "%d:%s:%s\n", c.Hierarchy, strings.Join(c.Controllers, ","), c.Path)
	}
	if diff := cmp.Diff(string(text), lines.String()); diff != "" {
		t.Errorf("Cgroup (-want +got):\n%s", diff)
	}

	said := errors.New("said by the reader")
	if err := p.Inspect(func(string) error { return said }); err != said {
		t.Errorf("Inspect = %v, want what its reader said", err)
	}
	peer.Finish()
}

// If a process ends during Inspect, the findings are discarded.
func TestInspectThrowsAway(t *testing.T) {
	needPidfd(t)
	for _, reap := range []bool{true, false} {
		peer, conn := connected(t, role{Do: "connect"})
		p := openPeerProcess(t, conn)
		err := p.Inspect(func(string) error {
			if err := p.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			if err := p.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			if reap {
				peer.Reap(unix.SIGKILL)
			}
			return nil
		})
		var gone *peercred.ErrPeerProcessGone
		if !errors.As(err, &gone) || gone.PID != peer.PID() {
			t.Errorf("Inspect of a process that dies meanwhile (reaped: %v): %v, want *ErrPeerProcessGone with pid %d", reap, err, peer.PID())
		}
	}
}

// The errors of OpenPeerProcess are distinct. TestProcessOnAnOlderKernel has that of an older
// kernel.
func TestProcessRefusals(t *testing.T) {
	needPidfd(t)
	gonePeer, goneConn := connected(t, role{Do: "connect"})
	gonePeer.Finish()
	_, err := peercred.OpenPeerProcess(goneConn)
	if _, gone := errors.AsType[*peercred.ErrPeerProcessGone](err); !gone {
		t.Errorf("of a reaped peer: %v, want *ErrPeerProcessGone", err)
	}
	for _, state := range states() {
		t.Run(state.name, func(t *testing.T) {
			fd := state.fd(t)
			for _, i := range implementations {
				pidfd, err := i.openProcess(fd)
				if got := errString(err); got != state.want.Err {
					t.Errorf("%s.OpenProcess = %d, %v, want %q", i.name, pidfd, err, state.want.Err)
				}
				if err == nil {
					flags, flagsErr := unix.FcntlInt(uintptr(pidfd), unix.F_GETFD, 0)
					if flagsErr != nil || flags&unix.FD_CLOEXEC == 0 {
						t.Errorf("%s.OpenProcess: flags %#x, %v, want close-on-exec", i.name, flags, flagsErr)
					}
					unix.Close(pidfd)
				}
			}
			before := openDescriptors(t)
			p, err := peercred.OpenPeerProcess(foreign{raw: control(func(f func(uintptr)) error { f(uintptr(fd)); return nil })})
			var notUnix *peercred.ErrNotUnixSocket
			switch {
			case state.kind == "":
				if !errors.Is(err, unix.EBADF) {
					t.Errorf("OpenPeerProcess: %v, want EBADF", err)
				}
			case state.kind != "Unix":
				if !errors.As(err, &notUnix) || notUnix.ConnType != state.kind {
					t.Errorf("OpenPeerProcess: %v, want *ErrNotUnixSocket{%s}", err, state.kind)
				}
			case state.want.Err != "" || state.noPeerBy != nil:
				if !errors.Is(err, unix.ENOTCONN) {
					t.Errorf("OpenPeerProcess: %v, want ENOTCONN", err)
				}
			case err != nil:
				t.Errorf("OpenPeerProcess: %v", err)
			default:
				wantsAlive(t, p, int32(os.Getpid()), uint32(os.Geteuid()), uint32(os.Getegid()))
				p.Close()
			}
			if (p == nil) == (err == nil) {
				t.Errorf("OpenPeerProcess = %v, %v, want either a handle or an error", p, err)
			}
			if after := openDescriptors(t); after != before {
				t.Errorf("%d descriptors are open, %d were before", after, before)
			}
		})
	}
}

// processReport is a helper's report about a handle.
type processReport struct {
	Open                              string // why there is no handle
	PID                               int32
	Alive                             bool
	PIDErr, AliveErr, Signal, Current string
	Inspected, Inspect                string
	PIDs                              map[string]bool // what the implementations say of the pid
}

// helperServeAndLook reports what it can learn about one client's process. If Count is set,
// it mounts a /proc of its own namespace.
func helperServeAndLook(r role) error {
	if r.Count > 0 {
		if err := mountOwnProc(); err != nil {
			return err
		}
	}
	return acceptOne(r, func(conn net.Conn) error {
		var got processReport
		p, err := peercred.OpenPeerProcess(conn)
		if err != nil {
			got.Open = err.Error()
			return reexec.Report(got)
		}
		defer p.Close()
		got.PID, err = p.PID()
		got.PIDErr = errString(err)
		got.Alive, err = p.Alive()
		got.AliveErr = errString(err)
		got.Signal = errString(p.Signal(nil))
		_, err = p.CurrentCredentials()
		got.Current = errString(err)
		got.Inspect = errString(p.Inspect(func(procfs string) error { got.Inspected = procfs; return nil }))
		got.PIDs, err = leafPIDs(conn.(*net.UnixConn))
		if err != nil {
			return err
		}
		return reexec.Report(got)
	})
}

func leafPIDs(conn *net.UnixConn) (said map[string]bool, err error) {
	said = map[string]bool{}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	err = raw.Control(func(fd uintptr) {
		for _, i := range implementations {
			pidfd, err := i.openProcess(int(fd))
			if err != nil {
				said[err.Error()] = true
				continue
			}
			pid, err := i.processPID(pidfd)
			unix.Close(pidfd)
			said[fmt.Sprintf("%d, %v", pid, err)] = true
		}
	})
	return said, err
}

// A peer outside of our pid namespace has no pid here, cannot be signalled, and is
// inspected only where /proc shows it.
func TestProcessInAnotherPIDNamespace(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	for _, ownProc := range []int{0, 1} {
		address := abstract()
		server := start(t, role{Do: "serve and look", Network: "unix", Address: address, Count: ownProc}, inNamespace(syscall.CLONE_NEWPID|syscall.CLONE_NEWNS, 0, 0))
		server.Expect("listening")
		conn, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		server.Proceed()
		var got processReport
		server.Decode(&got)
		server.Finish()
		if len(got.PIDs) != 1 {
			t.Errorf("the implementations differ about the pid: %v", got.PIDs)
		}
		got.PIDs = nil
		const invisible = "failed to inspect the peer's process: unavailable on linux: the process is in a pid namespace that is not visible in this /proc"
		want := processReport{
			Alive:     true,
			Signal:    "peer process: linux: pidfd_send_signal: invalid argument",
			Inspected: fmt.Sprintf("/proc/%d", os.Getpid()), // of the /proc that it inherited
		}
		if ownProc > 0 {
			want.Inspected, want.Inspect, want.Current = "", invisible, invisible
		} else if !hasPidfdInfo() {
			want.PIDErr = "failed to inspect the peer's process: unavailable on linux: this kernel reports a pid only through /proc, and this /proc belongs to another pid namespace"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("own /proc %d (-want +got):\n%s", ownProc, diff)
		}
	}
}

// Such a peer is gone once it is reaped, although a signal cannot show that.
func TestProcessGoneInAnotherPIDNamespace(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	address := abstract()
	server := start(t, role{Do: "serve and look", Network: "unix", Address: address}, inNamespace(syscall.CLONE_NEWPID|syscall.CLONE_NEWNS, 0, 0))
	server.Expect("listening")
	peer := start(t, role{Do: "connect", Network: "unix", Address: address})
	peer.Expect("connected")
	peer.Finish()
	server.Proceed()
	var got processReport
	server.Decode(&got)
	server.Finish()
	if diff := cmp.Diff(processReport{Open: "the peer's process is gone"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The kernel's signal is an int. A number that does not fit is an error, and not another
// signal.
func TestSignalThatIsNone(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect"})
	p := openPeerProcess(t, conn)
	shift := 32 // not a constant, which would not fit where an int has 32 bits
	for _, signal := range []os.Signal{
		syscall.Signal(-1), syscall.Signal(65), syscall.Signal(1<<shift | 9), syscall.Signal(1<<31 - 1 + 1<<shift), notASignal{},
	} {
		if signal == syscall.Signal(9) || signal == syscall.Signal(0) || signal == syscall.Signal(1<<31-1) {
			continue // an int has 32 bits here
		}
		for n, pidfd := range leafHandles(t, conn) {
			if err := implementations[n].signalProcess(pidfd, signal); err != unix.EINVAL {
				t.Errorf("%s.SignalProcess(%#v) = %v, want EINVAL", implementations[n].name, signal, err)
			}
		}
		if err := p.Signal(signal); !errors.Is(err, unix.EINVAL) {
			t.Errorf("Signal(%#v) = %v, want EINVAL", signal, err)
		}
	}
	if alive, err := p.Alive(); !alive || err != nil {
		t.Errorf("Alive = %v, %v: one of them was a signal", alive, err)
	}
	peer.Finish()
}

// A number that does not fit an int is an error as a descriptor and as a signal.
func TestProcessWideNumbers(t *testing.T) {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	shift := 32 // not a constant, which would not fit where an int has 32 bits
	for _, i := range implementations {
		if err := i.signalProcess(pidfd, unix.Signal(0)); err != nil {
			t.Errorf("%s.SignalProcess of signal 0 = %v, want that one could be sent", i.name, err)
		}
		signals, descriptors := []unix.Signal{-1}, []int{-1}
		if 1<<shift != 0 {
			signals = append(signals, unix.Signal(-1<<shift), unix.Signal(1<<shift))
			descriptors = append(descriptors, 1<<shift|pidfd, -1<<shift|pidfd)
		}
		for _, signal := range signals {
			if err := i.signalProcess(pidfd, signal); err != unix.EINVAL {
				t.Errorf("%s.SignalProcess of signal %#x = %v, want EINVAL", i.name, int(signal), err)
			}
		}
		for _, fd := range descriptors {
			if exited, err := i.processExited(fd); exited || err != unix.EBADF {
				t.Errorf("%s.ProcessExited(%#x) = %v, %v, want EBADF", i.name, fd, exited, err)
			}
			if pid, err := i.processPID(fd); pid != 0 || err != unix.EBADF {
				t.Errorf("%s.ProcessPID(%#x) = %d, %v, want EBADF", i.name, fd, pid, err)
			}
			if ids, err := i.processIDs(fd); ids != [8]uint32{} || err != unix.EBADF {
				t.Errorf("%s.ProcessIDs(%#x) = %v, %v, want EBADF", i.name, fd, ids, err)
			}
			if err := i.signalProcess(fd, nil); err != unix.EBADF {
				t.Errorf("%s.SignalProcess(%#x) = %v, want EBADF", i.name, fd, err)
			}
		}
		// 0 is a descriptor, which the runtime keeps open. poll(2) takes any.
		if _, err := i.processExited(0); err != nil {
			t.Errorf("%s.ProcessExited(0) = %v, want no error", i.name, err)
		}
		if _, err := i.processPID(0); err == nil || err == unix.EBADF {
			t.Errorf("%s.ProcessPID(0) = %v, want that it is not a pidfd", i.name, err)
		}
	}
}

type notASignal struct{}

func (notASignal) Signal()        {}
func (notASignal) String() string { return "no signal" }

// A process that is ending has no command line, which is an error.
func TestCmdlineAtTheEnd(t *testing.T) {
	needPidfd(t)
	for range 30 {
		peer, conn := connected(t, role{Do: "connect"})
		p := openPeerProcess(t, conn)
		peer.EndStdin()
		for err := error(nil); err == nil; {
			var arguments []string
			arguments, err = p.Cmdline()
			if err == nil && len(arguments) == 0 {
				t.Fatal("a process that has arguments is said to have none")
			}
			var gone *peercred.ErrPeerProcessGone
			if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.As(err, &gone) {
				t.Errorf("Cmdline = %v, want os.ErrNotExist or *ErrPeerProcessGone", err)
			}
		}
		peer.Finish()
		p.Close()
	}
}

// A handle that is not returned is closed at once, and not by the garbage collector.
func TestRefusedHandlesAreClosed(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect"})
	deadPeer, deadConn := connected(t, role{Do: "connect"})
	deadPeer.Finish()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for name, conn := range map[string]net.Conn{
		"reaped":                       deadConn,
		"Control answers, then fails":  foreign{raw: control(func(f func(uintptr)) error { raw.Control(f); return io.ErrClosedPipe })},
		"Control answers, then panics": foreign{raw: control(func(f func(uintptr)) error { raw.Control(f); panic("out of order") })},
		"Control answers twice":        foreign{raw: control(func(f func(uintptr)) error { raw.Control(f); return errors.Join(raw.Control(f), io.ErrClosedPipe) })},
	} {
		before := openDescriptors(t)
		for range 20 {
			if p, err := peercred.OpenPeerProcess(conn); p != nil || err == nil {
				t.Fatalf("%s: %v, %v, want nil and an error", name, p, err)
			}
		}
		if after := openDescriptors(t); after != before {
			t.Errorf("%s: %d descriptors are open after 20 refusals, %d were before", name, after, before)
		}
	}
	// An answer that comes too late is discarded.
	for name, end := range map[string]func() error{
		"returns": func() error { return nil },
		"fails":   func() error { return io.ErrClosedPipe },
		"panics":  func() error { panic("out of order") },
	} {
		var late func(uintptr)
		_, err := peercred.OpenPeerProcess(foreign{raw: control(func(f func(uintptr)) error { late = f; return end() })})
		before := openDescriptors(t)
		raw.Control(late)
		if after := openDescriptors(t); err == nil || after != before {
			t.Errorf("Control %s, then answers: %v, and %d descriptors are open, %d were before", name, err, after, before)
		}
	}
	peer.Finish()
}

// A peer in a namespace below ours has a pid here.
func TestProcessInANamespaceBelow(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	peer, conn := connected(t, role{Do: "connect"}, inNamespace(syscall.CLONE_NEWPID, 0, 0))
	wantsAlive(t, openPeerProcess(t, conn), peer.PID(), 0, 0)
	peer.Finish()
}

// Closed handles and unused handles leave nothing open.
func TestProcessLeaksNothing(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect"})
	runtime.GC()
	before, goroutines := openDescriptors(t), runtime.NumGoroutine()
	for n := range 10_000 {
		p, err := peercred.OpenPeerProcess(conn)
		if err != nil {
			t.Fatalf("handle %d: %v", n, err)
		}
		if n == 0 && openDescriptors(t) != before+1 {
			t.Errorf("a handle takes %d descriptors, want 1", openDescriptors(t)-before)
		}
		if n%2 == 0 {
			p.Done()
		}
		for range 2 {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if n%2 == 0 {
			if err := p.Wait(t.Context()); !errors.Is(err, os.ErrClosed) {
				t.Fatalf("Wait on a closed handle: %v", err)
			}
			select {
			case <-p.Done():
				t.Fatal("Close says by Done that the process has ended")
			default:
			}
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors are open after 10,000 handles, %d were before", after, before)
	}
	if after := runtime.NumGoroutine(); after > goroutines+1 {
		t.Errorf("%d goroutines after 10,000 handles, %d before", after, goroutines)
	}
	peer.Finish()
}

func TestProcessSafetyNet(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect"})
	before := openDescriptors(t)
	func() {
		for range 100 {
			if _, err := peercred.OpenPeerProcess(conn); err != nil {
				t.Fatal(err)
			}
		}
	}()
	for range 100 { // finalizers run some time after a collection
		runtime.GC()
		runtime.Gosched()
		if openDescriptors(t) <= before {
			break
		}
		blockBriefly(t)
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors are open after 100 forgotten handles, %d were before", after, before)
	}
	peer.Finish()
}

// blockBriefly waits for a child, so that other goroutines run.
func blockBriefly(t testing.TB) {
	start(t, role{Do: "pause"}).Finish()
}

// Done is closed for each of many processes that die at once.
func TestDoneOfManyProcesses(t *testing.T) {
	needPidfd(t)
	const processes = 1000
	listener := listen(t, "unix")
	var waiters sync.WaitGroup
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	forker := start(t, role{Do: "fork", Network: "unix", Address: listener.Addr().String(), Count: processes}, withFile(read))
	read.Close()
	threads := threadCount(t)
	var handles []*peercred.PeerProcess
	for range processes {
		conn := accept(t, listener)
		p := openPeerProcess(t, conn)
		conn.Close()
		handles = append(handles, p)
		waiters.Go(func() { <-p.Done() })
	}
	if now := threadCount(t); now > threads+50 {
		t.Errorf("%d threads wait for %d processes, %d were there before", now, processes, threads)
	}
	for _, p := range handles {
		select {
		case <-p.Done():
			t.Fatal("Done is closed while the process lives")
		default:
		}
	}
	forker.Expect("forked")
	write.Close() // all of them end
	waiters.Wait()
	for _, p := range handles {
		if alive, err := p.Alive(); alive || err != nil {
			t.Errorf("Alive = %v, %v, want false", alive, err)
		}
	}
	forker.Finish()
}

func threadCount(t testing.TB) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

// If Close is called during another method, that returns an answer or os.ErrClosed.
func TestProcessCloseRaces(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect"})
	closed := 0
	var lock sync.Mutex
	for range 200 {
		p := openPeerProcess(t, conn)
		methods := inspections(p)
		methods["Inspect"] = func() error { return p.Inspect(func(string) error { return nil }) }
		methods["Alive"] = func() error { _, err := p.Alive(); return err }
		methods["PID"] = func() error { _, err := p.PID(); return err }
		methods["Signal"] = func() error { return p.Signal(nil) }
		methods["CurrentCredentials"] = func() error { _, err := p.CurrentCredentials(); return err }
		methods["Wait"] = func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := p.Wait(ctx); err != context.Canceled {
				return err
			}
			return nil
		}
		methods["Wait for Close"] = func() error { return p.Wait(t.Context()) }
		methods["Done"] = func() error { p.Done(); return nil }
		methods["SyscallConn"] = func() error { _, err := p.SyscallConn(); return err }
		methods["Close"] = p.Close
		var running sync.WaitGroup
		begin := make(chan struct{})
		for name, method := range methods {
			running.Go(func() {
				<-begin
				switch err := method(); {
				case errors.Is(err, os.ErrClosed):
					lock.Lock()
					closed++
					lock.Unlock()
				case err != nil:
					t.Errorf("%s: %v, want nil or os.ErrClosed", name, err)
				}
			})
		}
		close(begin)
		running.Wait()
	}
	if closed == 0 {
		t.Error("no method ever met Close")
	}
	peer.Finish()
}

func TestProcessClosed(t *testing.T) {
	needPidfd(t)
	server, _ := connect(t)
	p := openPeerProcess(t, server)
	p.Close()
	methods := inspections(p)
	methods["Alive"] = func() error { _, err := p.Alive(); return err }
	methods["PID"] = func() error { _, err := p.PID(); return err }
	methods["Signal"] = func() error { return p.Signal(syscall.SIGKILL) } // to ourselves, were it sent
	methods["CurrentCredentials"] = func() error { _, err := p.CurrentCredentials(); return err }
	methods["Wait"] = func() error { return p.Wait(t.Context()) }
	for name, method := range methods {
		if err := method(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v, want os.ErrClosed", name, err)
		}
	}
}

// A PeerProcess that OpenPeerProcess did not return gives errors and does not panic.
func TestNoHandle(t *testing.T) {
	for name, p := range map[string]*peercred.PeerProcess{"nil": nil, "zero": {}} {
		methods := inspections(p)
		methods["Alive"] = func() error { _, err := p.Alive(); return err }
		methods["PID"] = func() error { _, err := p.PID(); return err }
		methods["Signal"] = func() error { return p.Signal(syscall.SIGKILL) }
		methods["CurrentCredentials"] = func() error { _, err := p.CurrentCredentials(); return err }
		methods["Wait"] = func() error { return p.Wait(t.Context()) }
		methods["SyscallConn"] = func() error { _, err := p.SyscallConn(); return err }
		for method, call := range methods {
			if err := call(); !errors.Is(err, os.ErrInvalid) {
				t.Errorf("%s of a %s PeerProcess: %v, want os.ErrInvalid", method, name, err)
			}
		}
		if done := p.Done(); done != nil {
			t.Errorf("Done of a %s PeerProcess is a channel", name)
		}
		if err := p.Close(); err != nil {
			t.Errorf("Close of a %s PeerProcess: %v", name, err)
		}
	}
}

func TestWaitIsCancelled(t *testing.T) {
	needPidfd(t)
	peer, conn := connected(t, role{Do: "connect"})
	p := openPeerProcess(t, conn)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- p.Wait(ctx) }()
	cancel()
	if err := <-result; err != context.Canceled {
		t.Errorf("Wait = %v, want %v", err, context.Canceled)
	}
	peer.Finish()
}

// The path of a removed executable ends in " (deleted)", and Executable still opens its file.
func TestExecutableRemoved(t *testing.T) {
	needPidfd(t)
	copied := filepath.Join(t.TempDir(), "copy")
	copyFile(t, "/proc/self/exe", copied)
	listener := listen(t, "unix")
	peer := start(t, role{Do: "connect", Network: "unix", Address: listener.Addr().String()}, withExecutable(copied))
	peer.Expect("connected")
	p := openPeerProcess(t, accept(t, listener))
	want, err := os.Stat(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, []byte("another"), 0o700); err != nil {
		t.Fatal(err)
	}
	file, path, err := p.Executable()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := file.Stat()
	if err != nil || !os.SameFile(want, got) || path != copied+" (deleted)" {
		t.Errorf("Executable is %q, %d bytes (%v), want %q with %d", path, got.Size(), err, copied+" (deleted)", want.Size())
	}
	peer.Finish()
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Close()); err != nil {
		t.Fatal(err)
	}
}

// helperConnectAndExecute connects and, on the test's word, executes this binary
// anew in the same process, in another role.
func helperConnectAndExecute(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	reexec.Step("connected")
	environment, err := reexec.Environment(role{Do: "pause"})
	if err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", []string{"another name", "an argument"}, environment)
}

// helperConnectUnderSixIDs is a process whose real, effective and saved ids differ.
func helperConnectUnderSixIDs(r role) error {
	if err := syscall.Setresgid(11, 12, 13); err != nil {
		return err
	}
	if err := syscall.Setresuid(1, 2, 3); err != nil {
		return err
	}
	return helperConnect(r)
}

// helperFork makes Count processes that connect, and end when descriptor 3 does. It
// does not wait for them.
func helperFork(r role) error {
	address, length, err := rawAddress(r.Address)
	if err != nil {
		return err
	}
	for range r.Count {
		if err := forkPeer(address, length); err != nil {
			return err
		}
	}
	reexec.Step("forked")
	return nil
}

// rawAddress is the sockaddr_un of a name in the abstract namespace.
func rawAddress(name string) (address *unix.RawSockaddrUnix, length uintptr, err error) {
	address = &unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	if name[0] != '@' || len(name) > len(address.Path) {
		return nil, 0, fmt.Errorf("%q is no abstract name, or too long", name)
	}
	for i := 1; i < len(name); i++ {
		address.Path[i] = int8(name[i])
	}
	return address, unsafe.Offsetof(address.Path) + uintptr(len(name)), nil
}

// forkPeer makes a process without executing a program. A thousand such processes are cheap.
// The child has no runtime, so it may only make raw system calls.
//
//go:norace
func forkPeer(address *unix.RawSockaddrUnix, length uintptr) error {
	flags, stack := uintptr(unix.SIGCHLD), uintptr(0)
	if runtime.GOARCH == "s390x" { // which takes them the other way round
		flags, stack = stack, flags
	}
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags, stack, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid > 0 {
		return nil
	}
	var b [1]byte
	fd, _, _ := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)
	unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(address)), length)
	unix.RawSyscall(unix.SYS_READ, 3, uintptr(unsafe.Pointer(&b)), 1)
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
