//go:build !android

package peercred_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
	"golang.org/x/sys/unix"
)

// Peers are this test binary, executed again with its role in the environment.
// A helper does its step, says so with one line on stdout, and goes on when its
// stdin gives a line or ends.

// role is what a helper is to do.
type role struct {
	Do      string // a key of roles
	Network string
	Address string
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
	Answer         *seccomp.Answer // to calls of the role's thread
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
			if err := r.Answer.Give(); err != nil {
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

// helperAskListeningFile asks about a listening socket, and makes no other call
// of getsockopt.
func helperAskListeningFile(role) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: abstract()}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return err
	}
	return reportFile(fd)
}

// helperAskConnectedFile does the same about a socket that is connected to this
// process.
func helperAskConnectedFile(role) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return reportFile(fds[0])
}

// helperAskPacketFile does the same about a socket that is connected to a listener of
// SOCK_SEQPACKET, as the last of Count questions.
func helperAskPacketFile(r role) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.Address}); err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "socket")
	for range r.Count - 1 {
		if peer, err := peercred.GetPeerCredentialsOf(file); err == nil {
			return fmt.Errorf("an answer before the last question: %v", peer)
		}
	}
	return reportOf(file)
}

// helperAskTCPFile does the same about a socket of another family.
func helperAskTCPFile(role) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return reportFile(fd)
}

func reportFile(fd int) error {
	return reportOf(os.NewFile(uintptr(fd), "socket"))
}

func reportOf(file *os.File) error {
	peer, err := peercred.GetPeerCredentialsOf(file)
	return reexec.Report(report{Peer: peer, Err: errString(err)})
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

// helperPause is there.
func helperPause(role) error {
	reexec.Step("here")
	return nil
}

func helperPauseTwice(role) error {
	reexec.Step("here")
	reexec.Step("still here")
	return nil
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

// forkPeer makes a process without executing a program, a thousand of which are
// cheap. The child has no runtime: it may make raw system calls and nothing else.
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

// helperServe holds one connection open.
func helperServe(r role) error {
	return acceptOne(r, func(net.Conn) error { reexec.Step("accepted"); return nil })
}

// helperServeOnce reports what each implementation says of one client, and what
// the linked one says through GetPeerCredentials.
func helperServeOnce(r role) error { return acceptOne(r, reportPeer) }

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

// helperAskOnce reports the same of a server.
func helperAskOnce(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return reportPeer(conn)
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

func helperAskGroups(r role) error {
	return reportFact(r, func(i implementation, fd int) error { _, err := i.groups(fd); return err },
		func(conn net.Conn) error { _, err := peercred.GetPeerGroups(conn); return err })
}

func helperAskLabel(r role) error {
	return reportFact(r, func(i implementation, fd int) error { _, err := i.securityLabel(fd); return err },
		func(conn net.Conn) error { _, err := peercred.GetPeerSecurityLabel(conn); return err })
}

func helperAskProcess(r role) error {
	return reportFact(r, func(i implementation, fd int) error { return openAndClose(i, fd) },
		func(conn net.Conn) error { _, err := peercred.OpenPeerProcess(conn); return err })
}

// openAndClose opens a pidfd, which must be -1 beside an error.
func openAndClose(i implementation, fd int) error {
	pidfd, err := i.openProcess(fd)
	switch {
	case err == nil:
		return unix.Close(pidfd)
	case pidfd != -1:
		return fmt.Errorf("pidfd %d beside an error: %w", pidfd, err)
	}
	return err
}

// reportFact reports the errors of one question.
func reportFact(r role, ask func(implementation, int) error, askPublic func(net.Conn) error) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	got := report{Implementations: map[string]answer{}}
	err = raw.Control(func(fd uintptr) {
		for _, i := range implementations {
			got.Implementations[i.name] = answer{Err: errString(ask(i, int(fd)))}
		}
	})
	got.Err = errString(askPublic(conn))
	return errors.Join(err, reexec.Report(got))
}

func helperAskInherited(role) error {
	return reexec.Report(report{PID: os.Getpid(), Implementations: askAll(3)})
}

// helperPass connects, hands the connected descriptor over on descriptor 3, and
// exits.
func helperPass(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(fd)), nil, 0) })
	return errors.Join(err, sent)
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

// helperAskAboutOurselvesOften is its own server.
func helperAskAboutOurselvesOften(r role) error {
	listener, err := net.Listen("unix", abstract())
	if err != nil {
		return err
	}
	defer listener.Close()
	r.Network, r.Address = "unix", listener.Addr().String()
	return helperAskOften(r)
}

// helperAskWithoutDescriptors asks about a connection to itself, first when no
// descriptor can be opened to find out about the kernel, then when it can.
func helperAskWithoutDescriptors(r role) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fds[0]), "socketpair")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(fds[1] + 1), Max: limit.Max}); err != nil {
		return err
	}
	for err == nil { // fill the gaps below
		_, err = unix.Dup(fds[0])
	}
	if err != unix.EMFILE {
		return fmt.Errorf("dup: %w", err)
	}
	peer, err := peercred.GetPeerCredentialsOf(file)
	if err := reexec.Report(report{Peer: peer, Err: errString(err)}); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	peer, err = peercred.GetPeerCredentialsOf(file)
	return reexec.Report(report{PID: os.Getpid(), Peer: peer, Err: errString(err)})
}

// ourSocket is the descriptor that a wrong kernel gives in place of any new socket.
const ourSocket = 100

// helperAskWrongKernel asks on a kernel whose new sockets have this process as their
// peer, without being connected.
func helperAskWrongKernel(role) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fds[1]), "socketpair")
	conn, err := net.FileConn(file)
	if err != nil {
		return err
	}
	questions := map[string]func() (any, error){
		"file": func() (any, error) { return peercred.GetPeerCredentialsOf(file) },
		"conn": func() (any, error) { return peercred.GetPeerCredentials(conn) },
		// Of another type's descriptor the credentials are asked too, for their error.
		"groups": func() (any, error) {
			return peercred.GetPeerGroups(struct{ *net.UnixConn }{conn.(*net.UnixConn)})
		},
	}
	for _, i := range implementations {
		questions[i.name] = func() (any, error) { return i.answersForCaller() }
	}
	said := map[string]string{}
	for name, ask := range questions {
		if err := unix.Dup3(fds[0], ourSocket, unix.O_CLOEXEC); err != nil { // the question closes it
			return err
		}
		answer, err := ask()
		said[name] = fmt.Sprintf("%v, %v", answer, err)
	}
	return reexec.Report(said)
}

// helperSupportAndNoDescriptor reports Support when no descriptor can be opened.
func helperSupport(role) error { return reexec.Report(peercred.Support()) }

func helperSupportAndNoStdin(role) error {
	if err := unix.Close(0); err != nil {
		return err
	}
	return reexec.Report(peercred.Support())
}

func helperSupportAndNoDescriptor(role) error {
	if err := forbidDescriptors(); err != nil {
		return err
	}
	return reexec.Report(peercred.Support())
}

// forbidDescriptors keeps this process from opening any more.
func forbidDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max})
}

// report is what a helper found out.
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

// straced is a helper under strace, which is told arguments.
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

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start peers under other ids")
	}
}

func needUserNamespaces(t testing.TB) {
	t.Helper()
	needRoot(t)
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || string(n) == "0\n" {
		t.Skipf("needs user namespaces: /proc/sys/user/max_user_namespaces is %q, %v", n, err)
	}
}

// abstract returns a name in the abstract namespace, which every user reaches. It is
// made of no pid, which is 1 in many namespaces at a time.
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
