package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
	"golang.org/x/sys/unix"
)

// role is what this test binary does when it is executed as another process.
type role struct {
	Do      string // a key of roles
	Network string
	Address string
	UID     *uint32 // take these ids first
	GID     *uint32
	Groups  []int
	Count   int
	Rule    uint32
	Umask   int
	Mode    uint32
	Shared  bool   // as AllowSharedDirectory
	Mount   string // over Address: a directory, or the options of a file system

	CloseOnExit bool
	Names       []string // of sockets to inherit

	Way, Policy string          // keys of forgedWays and forgedPolicies, to be tried
	Calls       []seccomp.Call  // while these calls
	Errnos      []syscall.Errno // are answered with each of these
}

var roles = map[string]func(role) error{
	"connect":              helperConnect,
	"connect and change":   helperConnectAndChange,
	"serve":                helperServe,
	"watch":                helperWatch,
	"serve in a namespace": helperServeInNamespace,
	"run out":              helperRunOut,
	"forge":                helperForge,
	"listen":               helperListen,
	"mount":                helperMount,
	"mount on demand":      helperMountOnDemand,
	"serve one":            helperServeOne,
	"connect and stay":     helperConnectAndStay,
	"overflow ids":         helperOverflowIDs,
	"linger":               helperLinger,
	"serve HTTP":           helperServeHTTP,
	"hold":                 helperHold,
	"pass on":              helperPassOn,
	"inherit":              helperInherit,
	"hand over":            helperHandOver,
	"watch exits":          helperWatchExits,
	"exchange":             helperExchange,
	"start":                helperStart,
}

func TestMain(m *testing.M) {
	reexec.Main(m, func(r role) error {
		if err := reexec.TakeIDs(r.UID, r.GID, r.Groups); err != nil {
			return err
		}
		return roles[r.Do](r)
	})
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start peers under other ids")
	}
}

var abstractNames atomic.Int32

// abstract returns a name in the abstract namespace, which every user reaches.
func abstract() string {
	return "@peercred-guard-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(abstractNames.Add(1)))
}

// openDirectory is a directory that every user can enter.
func openDirectory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peercred-guard")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// helperConnect connects Count times, one after the other, and says of each what it
// read: the server says "welcome" to whom it lets in.
func helperConnect(r role) error {
	for range max(1, r.Count) {
		conn, err := net.Dial("unix", r.Address)
		if err != nil {
			return err
		}
		said, err := io.ReadAll(conn)
		conn.Close()
		switch {
		case string(said) == "welcome":
			fmt.Println("welcome")
		case len(said) == 0 && (err == nil || errors.Is(err, syscall.ECONNRESET)):
			fmt.Println("refused")
		default:
			return fmt.Errorf("read %q, %v", said, err)
		}
	}
	return nil
}

// helperConnectAndChange connects, and then takes other ids than those it came with.
func helperConnectAndChange(r role) error {
	conn, err := net.Dial("unix", r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	uid, gid := uint32(4243), uint32(3434)
	if err := reexec.TakeIDs(&uid, &gid, []int{28}); err != nil {
		return err
	}
	reexec.Step("changed")
	return nil
}

// helperServe listens, and never accepts.
func helperServe(r role) error {
	listener, err := net.Listen("unix", r.Address)
	if err != nil {
		return err
	}
	defer listener.Close()
	reexec.Step("listening")
	return nil
}

// sight is what a watcher saw.
type sight struct {
	Looks  int
	Files  map[string]int // how often what was there, by mode, uid and gid
	Passed int            // how often the socket let it in
}

// helperWatch looks at Address and at all that is beside it, and tries to connect,
// in a tight loop. With each line on its stdin it tells what it has seen so far.
func helperWatch(r role) error {
	asked := make(chan struct{})
	fmt.Println("watching")
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			asked <- struct{}{}
		}
		close(asked)
	}()
	seen := sight{Files: map[string]int{}}
	look := func(path string) {
		// Twice, since the kernel reads mode, uid and gid one after the other: once can be a
		// mode of now and a gid of before.
		var stat, again unix.Stat_t
		if unix.Lstat(path, &stat) == nil && unix.Lstat(path, &again) == nil && stat == again {
			seen.Files[fmt.Sprintf("%#o %d %d", stat.Mode, stat.Uid, stat.Gid)]++
		}
	}
	for ; ; seen.Looks++ {
		select {
		case _, more := <-asked:
			if !more {
				return nil
			}
			if err := reexec.Report(seen); err != nil {
				return err
			}
		default:
		}
		look(r.Address)
		if conn, err := net.Dial("unix", r.Address); err == nil {
			conn.Close()
			seen.Passed++
		}
		entries, err := os.ReadDir(filepath.Dir(r.Address))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			look(filepath.Join(filepath.Dir(r.Address), entry.Name()))
		}
		runtime.Gosched()
	}
}

// helperServeInNamespace guards by UIDs(Rule), and reports what became of one peer.
func helperServeInNamespace(r role) error {
	inner, err := net.Listen("unix", r.Address)
	if err != nil {
		return err
	}
	denied := make(chan *Denied, 1)
	listener, err := NewListener(inner, Config{Policy: UIDs(r.Rule), OnDeny: func(d *Denied) { denied <- d }})
	if err != nil {
		return err
	}
	fmt.Println("listening")
	accepted := make(chan *Conn, 1)
	go func() {
		if conn, err := listener.AcceptPeer(); err == nil {
			accepted <- conn
		}
	}()
	select {
	case d := <-denied:
		return reexec.Report(d.Error())
	case <-accepted:
		return reexec.Report("let in")
	}
}

// helperRunOut listens with few descriptors, lets them run out, and tells whether
// its listener outlives that: peers that wait meanwhile are served afterwards.
func helperRunOut(r role) error {
	listener, err := Listen(context.Background(), "unix", r.Address, Config{Policy: CurrentUser()})
	if err != nil {
		return err
	}
	reexec.Step("listening")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		return err
	}
	var taken []*os.File
	for {
		file, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			return err
		}
		taken = append(taken, file)
	}
	accepted := make(chan error)
	go func() {
		for range r.Count {
			conn, err := listener.Accept()
			if err == nil {
				_, err = io.WriteString(conn, "welcome")
			}
			if err == nil {
				err = conn.Close()
			}
			accepted <- err
		}
	}()
	enough := time.After(patience)
	for listener.Counts().Retried == 0 { // until it has failed once
		select {
		case err := <-accepted:
			return fmt.Errorf("accepted without a descriptor: %v", err)
		case <-enough:
			return errors.New("the listener never noticed that there is no descriptor")
		default:
			runtime.Gosched()
		}
	}
	for _, file := range taken {
		file.Close()
	}
	for range r.Count {
		if err := <-accepted; err != nil {
			return err
		}
	}
	fmt.Println("outlived", listener.Counts().Accepted)
	return listener.Close()
}

// withFiles gives the process these descriptors, from the third on.
func withFiles(files ...*os.File) reexec.Option {
	return func(c *exec.Cmd) { c.ExtraFiles = files }
}

// runAs runs tests of this binary under another user, whose group has another number.
func runAs(t *testing.T, uid uint32, tests string, more ...string) {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(openDirectory(t), "guard.test") // which other users can execute
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(more, "-test.run", tests, "-test.v")...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid + 1}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: Test") {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}

// inMountNamespace gives a process mounts of its own.
func inMountNamespace(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
}

func inUserNamespace(inside, outside int) reexec.Option {
	return func(c *exec.Cmd) {
		ids := []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{Uid: uint32(inside), Gid: uint32(inside)},
		}
	}
}
