package guard

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// needTool skips a test where a command is missing.
func needTool(t *testing.T, name, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs %s: apt-get install %s", name, debianPackage)
	}
}

// needOwnCalls skips a test for which an emulator of system calls is not enough.
func needOwnCalls(t *testing.T) {
	t.Helper()
	if emulator := os.Getenv("PEERCRED_TEST_EMULATOR"); emulator != "" {
		t.Skip("needs system calls of its own, and runs under " + emulator)
	}
}

// needStrace skips a test where strace cannot run this binary, as under an emulator.
func needStrace(t *testing.T) {
	t.Helper()
	needOwnCalls(t)
	needTool(t, "strace", "strace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=unlinkat", self, "-test.run=^$").CombinedOutput(); err != nil {
		t.Skipf("needs strace to run this binary: %v: %s", err, out)
	}
}

// shortDirectory has a path that ss and lsof print whole.
func shortDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

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

// roles has what each role does. The file of a role's test adds it.
var roles = map[string]func(role) error{}

func TestMain(m *testing.M) {
	reexec.Main(m, func(r role) error {
		if err := reexec.TakeIDs(r.UID, r.GID, r.Groups); err != nil {
			return err
		}
		return roles[r.Do](r)
	})
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

// withFiles gives the process these descriptors, from the third on.
func withFiles(files ...*os.File) reexec.Option {
	return func(c *exec.Cmd) { c.ExtraFiles = files }
}

// runAs runs tests of this binary under another user, whose uid and gid differ.
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

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
