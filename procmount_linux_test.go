//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
	"github.com/google/go-cmp/cmp"
)

// In these tests /proc is mounted with hidepid= or subset=, or not at all. If it does not
// show a living process, that must not read as the end of the process.

// noProc stands for a missing /proc in the place of mount options.
const noProc = "none"

// mountProc is for a helper in a mount namespace of its own.
func mountProc(options string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if options != noProc {
		return unix.Mount("proc", "/proc", "proc", 0, options)
	}
	for {
		if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
			return err
		}
		if _, err := os.Stat("/proc/self"); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
}

// procMethods are the methods of a handle that the tests call, by their names in
// publicFunctions.
var procMethods = []string{"Alive", "PID", "CurrentCredentials", "Inspect", "Executable", "ExecutablePath", "Cmdline", "Cgroup", "StartTime"}

// looked is the result of a method: the kind of its error by errors.Is and errors.As, and
// its text.
type looked struct{ Outcome, Err string }

// The outcomes.
const (
	answered  = "answered"
	nothing   = "no error, and no answer"
	noAccess  = "EACCES, ErrPermission"
	concealed = "unavailable"
	barred    = "unavailable, EACCES, ErrPermission"
	gone      = "gone"
)

func lookedAt(value any, err error) looked {
	if err == nil && value != nil {
		return looked{Outcome: answered}
	} else if err == nil {
		return looked{Outcome: nothing}
	}
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	var processGone *peercred.ErrPeerProcessGone
	var holds []string
	for _, quality := range []struct {
		name  string
		holds bool
	}{
		{"a value beside it", value != nil},
		{concealed, errors.As(err, &unavailable) && errors.Is(err, errors.ErrUnsupported)},
		{"EACCES", errors.Is(err, syscall.EACCES)},
		{"EPERM", errors.Is(err, syscall.EPERM)},
		{"ErrPermission", errors.Is(err, os.ErrPermission)},
		{"ErrNotExist", errors.Is(err, os.ErrNotExist)},
		{gone, errors.As(err, &processGone) && errors.Is(err, os.ErrProcessDone)},
	} {
		if quality.holds {
			holds = append(holds, quality.name)
		}
	}
	return looked{strings.Join(holds, ", "), err.Error()}
}

// lookReport is a helper's report about a process, or why it could not mount /proc.
type lookReport struct {
	MountErrno syscall.Errno
	Methods    map[string]looked
	PIDs       map[string]bool // what PID and the implementations say
}

// helperLookUnderProc mounts /proc, becomes an ordinary user (Then, GID) and asks all
// methods about the process that serves: once while it lives, and once when it is gone.
// Count is 1 for a kernel without PIDFD_GET_INFO.
func helperLookUnderProc(r role) error {
	if err := mountProc(r.Proc); err != nil {
		errno, ok := errors.AsType[syscall.Errno](err)
		if !ok {
			return err
		}
		return reexec.Report(lookReport{MountErrno: errno})
	}
	if err := becomeOrdinary(*r.Then, r.Groups); err != nil {
		return err
	}
	conn, p, err := openServer(r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer p.Close()
	if r.Count > 0 {
		if err := seccomp.Forge(unix.ENOTTY, seccomp.Any(unix.SYS_IOCTL)); err != nil {
			return err
		}
	}
	if err := reportLook(p, conn); err != nil {
		return err
	}
	reexec.Step("looked")
	return reportLook(p, conn)
}

// openServer connects to a server, and opens the handle on its process.
func openServer(address string) (*net.UnixConn, *peercred.PeerProcess, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	p, err := peercred.OpenPeerProcess(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, p, nil
}

// becomeOrdinary takes an id for all ids, and one supplementary group unless that is 0.
// The kernel takes a process that changes its ids for one with secrets, until that is
// undone.
func becomeOrdinary(id uint32, group int) error {
	var groups []int
	if group != 0 {
		groups = []int{group}
	}
	if err := reexec.TakeIDs(&id, &id, groups); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
}

func reportLook(p *peercred.PeerProcess, conn *net.UnixConn) error {
	got := lookReport{Methods: map[string]looked{}}
	for _, name := range procMethods {
		if name == "Inspect" {
			read := false
			err := p.Inspect(func(string) error { read = true; return nil })
			got.Methods[name] = lookedAt(map[bool]any{true: "read"}[read && err == nil], err)
			continue
		}
		got.Methods[name] = lookedAt(publicFunctions[name](victim{process: p}))
	}
	var err error
	if got.PIDs, err = leafPIDs(conn); err != nil {
		return err
	}
	pid, err := p.PID()
	got.PIDs[fmt.Sprintf("%d, %v", pid, err)] = true
	return reexec.Report(got)
}

// withCredential starts a helper under an id. It executes this binary under it, so that
// the same user may ptrace it.
func withCredential(id uint32) reexec.Option {
	return func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
}

func TestProcessUnderARestrictedProc(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	const (
		peerID     = 54_101
		strangerID = 54_102
		group      = 54_103
		notThere   = "/proc is not mounted, or belongs to a pid namespace that this process is not in: mount a /proc of its own pid namespace"
		conceals   = "/proc hides the process (mount option hidepid=invisible or hidepid=ptraceable): it requires CAP_SYS_PTRACE"
		denies     = "/proc denies access to the process (mount option hidepid=noaccess): it requires CAP_SYS_PTRACE"
	)
	for _, test := range []struct {
		options string
		id      uint32 // of who looks
		group   int
		proc    string // the outcome of the methods that read /proc
		exe     string // that of Executable and ExecutablePath
		reason  string // why something is unavailable
	}{
		{"hidepid=off", strangerID, 0, answered, noAccess, ""},
		{"hidepid=noaccess", strangerID, 0, barred, barred, denies},
		{"hidepid=1", strangerID, 0, barred, barred, denies},
		{"hidepid=invisible", strangerID, 0, concealed, concealed, conceals},
		{"hidepid=2", strangerID, 0, concealed, concealed, conceals},
		{"hidepid=ptraceable", strangerID, 0, concealed, concealed, conceals},
		{"hidepid=4", strangerID, 0, concealed, concealed, conceals},
		{"subset=pid", strangerID, 0, answered, noAccess, ""},
		{"subset=pid,hidepid=noaccess", strangerID, 0, barred, barred, denies},
		{"subset=pid,hidepid=invisible", strangerID, 0, concealed, concealed, conceals},
		{"subset=pid,hidepid=ptraceable", strangerID, 0, concealed, concealed, conceals},
		{noProc, strangerID, 0, concealed, concealed, notThere},
		// What the errors say to do.
		{fmt.Sprintf("hidepid=noaccess,gid=%d", group), strangerID, group, answered, noAccess, ""},
		{fmt.Sprintf("hidepid=invisible,gid=%d", group), strangerID, group, answered, noAccess, ""},
		{fmt.Sprintf("hidepid=ptraceable,gid=%d", group), strangerID, group, concealed, concealed, conceals},
		{"hidepid=noaccess", peerID, 0, answered, answered, ""},
		{"hidepid=invisible", peerID, 0, answered, answered, ""},
		{"hidepid=ptraceable", peerID, 0, answered, answered, ""},
		{"subset=pid", peerID, 0, answered, answered, ""},
		{noProc, peerID, 0, concealed, concealed, notThere},
		{"hidepid=ptraceable,subset=pid", 0, 0, answered, answered, ""},
		{noProc, 0, 0, concealed, concealed, notThere},
	} {
		for _, older := range []bool{!hasPidfdInfo(), true} {
			t.Run(fmt.Sprintf("%s as uid %d, older: %v", test.options, test.id, older), func(t *testing.T) {
				r := role{Do: "look under a /proc", Proc: test.options, Then: &test.id, Groups: test.group, Address: abstract()}
				if older {
					seccomp.Need(t)
					r.Count = 1
				}
				peer := start(t, role{Do: "serve", Network: "unix", Address: r.Address}, withCredential(peerID))
				peer.Expect("listening")
				peer.Proceed()
				looker := start(t, r, inNamespace(syscall.CLONE_NEWNS, 0, 0))
				alive := looker.look(test.options)
				peer.Expect("accepted")

				want := map[string]string{
					"Alive": answered, "PID": answered, "CurrentCredentials": answered,
					"Inspect": test.proc, "Cmdline": test.proc, "Cgroup": test.proc, "StartTime": test.proc,
					"Executable": test.exe, "ExecutablePath": test.exe,
				}
				if older { // which tells the ids in /proc alone, and the pid in our own fdinfo
					want["CurrentCredentials"] = test.proc
					if test.options == noProc {
						want["PID"] = concealed
					}
				}
				alive.want(t, want, test.reason)
				if pid := fmt.Sprintf("%d, <nil>", peer.PID()); want["PID"] == answered && !alive.PIDs[pid] {
					t.Errorf("the pid is %v, want %s", alive.PIDs, pid)
				}
				if most := map[bool]int{false: 1, true: 2}[older]; len(alive.PIDs) > most {
					t.Errorf("the implementations differ about the pid: %v", alive.PIDs)
				}

				looker.Expect("looked")
				peer.EndStdin()
				peer.Finish()
				looker.Proceed()
				for name := range want {
					want[name] = gone
				}
				want["Alive"] = nothing
				looker.look(test.options).want(t, want, "")
				looker.Finish()
			})
		}
	}
}

// look reads a report.
func (h *helper) look(options string) (got lookReport) {
	h.t.Helper()
	h.Decode(&got)
	if got.MountErrno != 0 {
		h.Finish()
		h.t.Skipf("needs to mount /proc with %s in a mount namespace of its own: %v", options, got.MountErrno)
	}
	return got
}

func (got lookReport) want(t *testing.T, want map[string]string, reason string) {
	t.Helper()
	outcomes := map[string]string{}
	for name, method := range got.Methods {
		outcomes[name] = method.Outcome
		if strings.HasPrefix(method.Outcome, concealed) && !strings.Contains(method.Err, "failed to inspect the peer's process: unavailable on linux: "+reason) {
			t.Errorf("%s says %q, want the reason %q", name, method.Err, reason)
		}
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("of the methods (-want +got):\n%s\n%v", diff, got.Methods)
	}
}

// StartTime is right in every time namespace, also if its boot is long before the real one or
// after the start of the process.
func TestStartTimeInATimeNamespace(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	for name, offset := range map[string]func(sinceBoot time.Duration) time.Duration{
		"booted long before": func(time.Duration) time.Duration { return 100_000 * time.Second },
		"booted just now":    func(sinceBoot time.Duration) time.Duration { return -sinceBoot },
	} {
		t.Run(name, func(t *testing.T) {
			address := abstract()
			peer := start(t, role{Do: "serve", Network: "unix", Address: address})
			peer.Expect("listening")
			peer.Proceed()
			enterTimeNamespace(t, offset)
			var got startReport
			start(t, role{Do: "tell the start", Address: address}).Decode(&got)
			conn, err := net.Dial("unix", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			want, err := openPeerProcess(t, conn).StartTime()
			if err != nil {
				t.Fatal(err)
			}
			if got.Err != "" || got.Start.Sub(want).Abs() > time.Second {
				t.Errorf("started at %v, %q, want %v, as outside of the namespace", got.Start, got.Err, want)
			}
			if inside := want.Before(got.Booted); inside != (name == "booted just now") {
				t.Errorf("the namespace was booted at %v, and the process started at %v", got.Booted, want)
			}
			peer.Finish()
		})
	}
}

// startReport is a helper's report about the start of a process.
type startReport struct {
	Start, Booted time.Time
	Err           string
}

// helperTellTheStart reports the start of the process that serves, after a look at the
// clock.
func helperTellTheStart(r role) error {
	conn, p, err := openServer(r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer p.Close()
	if err := checkSinceBoot(); err != nil {
		return err
	}
	sinceBoot, err := implementations[0].sinceBoot()
	if err != nil {
		return err
	}
	booted := time.Now().Add(-sinceBoot)
	started, err := p.StartTime()
	return reexec.Report(startReport{started, booted, errString(err)})
}

// checkSinceBoot checks that the time of every implementation is between two readings of the
// kernel's clock.
func checkSinceBoot() error {
	for _, i := range implementations {
		var before, after unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &before); err != nil {
			return err
		}
		got, err := i.sinceBoot()
		if err != nil {
			return fmt.Errorf("%s.SinceBoot: %w", i.name, err)
		}
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &after); err != nil {
			return err
		}
		if got < time.Duration(before.Nano()) || got > time.Duration(after.Nano()) {
			return fmt.Errorf("%s.SinceBoot = %d, want one between %d and %d", i.name, got, before.Nano(), after.Nano())
		}
	}
	return nil
}

func TestSinceBoot(t *testing.T) {
	if err := checkSinceBoot(); err != nil {
		t.Error(err)
	}
}

// enterTimeNamespace puts the processes that this goroutine starts afterwards into a
// time namespace. The goroutine's thread ends with it.
func enterTimeNamespace(t *testing.T, offset func(sinceBoot time.Duration) time.Duration) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		t.Skipf("needs a time namespace: unshare: %v", err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	shift := offset(time.Duration(now.Nano()))
	seconds, nanoseconds := int64(shift/time.Second), int64(shift%time.Second)
	if nanoseconds < 0 { // which timens_offsets does not take
		seconds, nanoseconds = seconds-1, nanoseconds+int64(time.Second)
	}
	text := fmt.Sprintf("boottime %d %d\n", seconds, nanoseconds)
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/timens_offsets", unix.Gettid()), []byte(text), 0); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}
