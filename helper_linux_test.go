//go:build !android

package peercred_test

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
	"golang.org/x/sys/unix"
)

// Peers are this test binary, executed again with its role in the environment.
// A helper does a step, writes one line to stdout, and goes on when its stdin has a line or
// ends.

// role is the task of a helper.
type role struct {
	Do      string // a key of roles
	Network string
	Address string
	Local   string  // the address of our own end
	UID     *uint32 // take these ids first
	GID     *uint32
	Groups  int     // take so many supplementary groups, see manyGroups
	Then    *uint32 // setuid to this once connected, and drop all groups
	Count   int

	Proc           string          // mount /proc anew with these options, or have none if it is noProc
	Implementation string          // the name of one
	Function       string          // a key of publicFunctions, or of probes, to be asked
	Calls          []seccomp.Call  // while these calls
	Errnos         []syscall.Errno // are answered with each of these
	Answer         *callAnswer     // to calls of the role's thread
	Claimed        *unix.Ucred     // to send as these ids; pid 0 is our own
}

var roles = map[string]func(role) error{
	"connect":                   helperConnect,
	"serve":                     helperServe,
	"serve once":                helperServeOnce,
	"ask 3":                     helperAskInherited,
	"pass":                      helperPass,
	"ask once":                  helperAskOnce,
	"ask groups":                helperAskGroups,
	"ask label":                 helperAskLabel,
	"ask process":               helperAskProcess,
	"ask a listening file":      helperAskListeningFile,
	"ask a connected file":      helperAskConnectedFile,
	"ask often":                 helperAskOften,
	"ask groups often":          helperAskGroupsOften,
	"connect and execute":       helperConnectAndExecute,
	"connect under six ids":     helperConnectUnderSixIDs,
	"pause":                     helperPause,
	"serve and look":            helperServeAndLook,
	"look under a /proc":        helperLookUnderProc,
	"tell the start":            helperTellTheStart,
	"reuse a pid":               helperReuseAPID,
	"pause twice":               helperPauseTwice,
	"fork":                      helperFork,
	"ask a packet file":         helperAskPacketFile,
	"ask a TCP file":            helperAskTCPFile,
	"ask without descriptors":   helperAskWithoutDescriptors,
	"ask a wrong kernel":        helperAskWrongKernel,
	"ask about ourselves often": helperAskAboutOurselvesOften,
	"support":                   helperSupport,
	"support and no stdin":      helperSupportAndNoStdin,
	"support and no descriptor": helperSupportAndNoDescriptor,
	"forge":                     helperForge,
	"probe":                     helperProbe,
	"ask one":                   helperAskOne,
	"play TCP":                  playTCP,
	"ask owner":                 helperAskOwner,
	"send":                      helperSend,
	"receive":                   helperReceive,
	"send once":                 helperSendOnce,
	"write to 3":                helperWriteTo3,
	"report senders":            helperReportSenders,
	"receive from 3":            helperReceiveFrom3,

	"receive without descriptors": helperReceiveWithoutDescriptors,
}

func TestMain(m *testing.M) {
	if os.Getenv(ioctlVariable) != "" {
		if err := forgeIoctl(); err != nil {
			panic(err)
		}
	}
	reexec.Main(m, func(r role) error {
		if err := reexec.TakeIDs(r.UID, r.GID, manyGroups(r.Groups)); err != nil {
			return err
		}
		if r.Answer != nil {
			if err := r.Answer.give(); err != nil {
				return err
			}
		}
		return roles[r.Do](r)
	})
}

// manyGroups are n groups, none of them 0.
func manyGroups(n int) (groups []int) {
	for i := range n {
		groups = append(groups, 100_000+i)
	}
	return groups
}

func helperConnect(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	reexec.Step("connected")
	if r.Then != nil {
		if err := syscall.Setgroups(nil); err != nil {
			return err
		}
		if err := reexec.SetUID(*r.Then); err != nil {
			return err
		}
		reexec.Step("changed")
	}
	return nil
}

// helperPause does nothing.
func helperPause(role) error {
	reexec.Step("here")
	return nil
}

// helperServe holds one connection open.
func helperServe(r role) error {
	return acceptOne(r, func(net.Conn) error { reexec.Step("accepted"); return nil })
}

func acceptOne(r role, serve func(net.Conn) error) error {
	listener, err := net.Listen(r.Network, r.Address)
	if err != nil {
		return err
	}
	reexec.Step("listening")
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	return serve(conn)
}

func reportPeer(conn net.Conn) error {
	report := report{PID: os.Getpid()}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Control(func(fd uintptr) { report.Implementations = askAll(int(fd)) }); err != nil {
		return err
	}
	peer, err := peercred.GetPeerCredentials(conn)
	report.Peer, report.Err = peer, errString(err)
	return reexec.Report(report)
}

// forbidDescriptors keeps this process from opening any more.
func forbidDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max})
}

// report is the report of a helper.
type report struct {
	PID             int
	Implementations map[string]answer
	Peer            *peercred.PeerCredentials
	Err             string
}

func askAll(fd int) map[string]answer {
	answers := map[string]answer{}
	for _, i := range implementations {
		answers[i.name] = i.ask(fd)
	}
	return answers
}

// mountOwnProc is for a helper in new pid and mount namespaces.
func mountOwnProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("proc", "/proc", "proc", 0, "")
}

// helper is a running helper process.
type helper struct {
	*reexec.Process
	t testing.TB
}

func start(t testing.TB, r role, options ...reexec.Option) *helper {
	t.Helper()
	return &helper{reexec.Start(t, r, options...), t}
}

func withFile(f *os.File) reexec.Option {
	return func(c *exec.Cmd) { c.ExtraFiles = append(c.ExtraFiles, f) }
}

func withExecutable(path string) reexec.Option {
	return func(c *exec.Cmd) { c.Path = path }
}

// inNamespace starts the helper in new namespaces. A new user namespace maps
// inside to outside, and the helper runs as inside.
func inNamespace(flags uintptr, inside, outside int) reexec.Option {
	return func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
			c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
			c.SysProcAttr.GidMappingsEnableSetgroups = true
			c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(inside), Gid: uint32(inside)}
		}
	}
}

// straced is a helper under strace, which gets the arguments.
func straced(t testing.TB, r role, arguments ...string) *exec.Cmd {
	t.Helper()
	strace, executable := straceAndUs(t)
	cmd := exec.Command(strace, append(append([]string{"-f", "-qq"}, arguments...), executable)...)
	var err error
	if cmd.Env, err = reexec.Environment(r); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// straceAndUs are the paths of both.
func straceAndUs(t testing.TB) (strace, executable string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("needs strace, to see what passes between us and the kernel: %v", err)
	}
	executable, err = os.Executable() // /proc/self/exe would be strace
	if err != nil {
		t.Fatal(err)
	}
	return strace, executable
}

func (h *helper) report() (r report) {
	h.t.Helper()
	h.Decode(&r)
	return r
}

func needUserNamespaces(t testing.TB) {
	t.Helper()
	reexec.NeedRoot(t)
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || string(n) == "0\n" {
		t.Skipf("needs user namespaces: /proc/sys/user/max_user_namespaces is %q, %v", n, err)
	}
}

// abstract returns a name in the abstract namespace, which every user can reach. It does not
// contain the pid, which is 1 in many namespaces at the same time.
func abstract() string { return "@peercred-test-" + rand.Text() }

func listen(t testing.TB, network string) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: abstract(), Net: network})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func accept(t testing.TB, listener *net.UnixListener) *net.UnixConn {
	t.Helper()
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// descriptor returns conn's descriptor, which stays valid as long as conn is
// open.
func descriptor(t testing.TB, conn syscall.Conn) (fd int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(d uintptr) { fd = int(d) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
