package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
)

// Effects of a machine's own tools, and of its administrator, on a socket file.

// systemd-tmpfiles leaves the file of a running server alone, however old the file is. It
// removes the file of a server that has ended.
func TestTmpfilesCleans(t *testing.T) {
	reexec.NeedRoot(t)
	needTool(t, "systemd-tmpfiles", "systemd")
	dir := shortDirectory(t)
	live, stale := filepath.Join(dir, "live"), filepath.Join(dir, "stale")
	listener, err := Listen(t.Context(), "unix", live, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	long := time.Now().Add(-30 * 24 * time.Hour)
	for _, path := range []string{live, stale} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	rule := filepath.Join(t.TempDir(), "rule.conf")
	// It compares only the time of the last change of content, because no other time can be
	// set back.
	if err := os.WriteFile(rule, []byte("e "+dir+" - - - m:10d\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-tmpfiles", "--clean", rule).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-tmpfiles: %v\n%s", err, out)
	}
	if _, err := os.Lstat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a dead server: %v, want that the rule removes it, or it proves nothing\n%s", err, out)
	}
	dialPlain(t, listener)
	acceptPeer(t, listener)
}

// The kernel's name of the socket is the path, which other programs use.
func TestToolsFindTheServer(t *testing.T) {
	path := filepath.Join(shortDirectory(t), "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	pid := fmt.Sprint(os.Getpid())
	for _, test := range []struct {
		tool, debianPackage string
		arguments           []string
		want                string
	}{
		{"ss", "iproute2", []string{"-Hxlp", "src", path}, "pid=" + pid + ","},
		{"lsof", "lsof", []string{"-t", path}, pid},
		{"fuser", "psmisc", []string{path}, pid},
	} {
		t.Run(test.tool, func(t *testing.T) {
			needTool(t, test.tool, test.debianPackage)
			out, err := exec.Command(test.tool, test.arguments...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("%s %v says %q, %v, want it to name pid %s", test.tool, test.arguments, out, err, pid)
			}
		})
	}
	if table, err := os.ReadFile("/proc/net/unix"); err != nil || !strings.Contains(string(table), " "+path+"\n") {
		t.Errorf("/proc/net/unix does not have %s: %v", path, err)
	}
	client := dialPlain(t, listener)
	server := acceptPeer(t, listener)
	for who, address := range map[string]net.Addr{
		"the client's remote": client.RemoteAddr(), "the server's local": server.LocalAddr(), "the listener's": listener.Addr(),
	} {
		if address.String() != path || address.Network() != "unix" {
			t.Errorf("%s address is %v, want %s", who, address, path)
		}
	}
	client.Close()
	if _, err := net.Dial("unix", filepath.Dir(path)+"/none"); err == nil || strings.Contains(err.Error(), ".p") {
		t.Errorf("Dial where nobody is: %v", err)
	}
}

// The umask does not matter, even if another goroutine changes it. Listen does not change it.
func TestUmaskOfAnotherGoroutine(t *testing.T) {
	if os.Geteuid() == 0 {
		runAs(t, 4242, "^TestUmaskOfAnotherGoroutine$")
		return
	}
	const rounds = 2000
	dir := t.TempDir()
	before := unix.Umask(0)
	unix.Umask(before)
	t.Cleanup(func() { unix.Umask(before) })
	var enough atomic.Bool
	var player sync.WaitGroup
	player.Go(func() {
		for n := 0; !enough.Load(); n++ {
			unix.Umask([]int{0, 0o022, 0o077, 0o111, 0o177, 0o777}[n%6])
		}
	})
	for range rounds {
		path := filepath.Join(dir, "s")
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Mode: 0o660})
		if err != nil {
			t.Error(err)
			break
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("%v, %v, want a socket with mode 0660", info.Mode(), err)
		}
		listener.Close()
	}
	enough.Store(true)
	player.Wait()
}

// Giving the file to another user requires only CAP_CHOWN.
func TestOwnerTakesOneCapability(t *testing.T) {
	const role = "PEERCRED_TEST_CAPABILITIES"
	if want := os.Getenv(role); want != "" {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Owner: "4242", Group: "2424", Mode: 0o660})
		if want == "none" {
			if listener != nil || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "give "+path+" to gid 2424") {
				t.Errorf("Listen = %v, %v, want EPERM of chown", listener, err)
			}
			assertEmpty(t, filepath.Dir(path))
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil || stat.Uid != 4242 || stat.Gid != 2424 || stat.Mode != unix.S_IFSOCK|0o660 {
			t.Errorf("uid %d, gid %d, mode %#o, %v, want 4242, 2424 and 0660", stat.Uid, stat.Gid, stat.Mode, err)
		}
		listener.Close()
		return
	}
	reexec.NeedRoot(t)
	needTool(t, "setpriv", "util-linux")
	for capabilities, want := range map[string]string{"-all,+chown": "chown", "-all": "none"} {
		cmd := exec.Command("setpriv", "--bounding-set="+capabilities, "--inh-caps=-all", "--", "/proc/self/exe", "-test.run=^TestOwnerTakesOneCapability$", "-test.v")
		if self, err := os.Executable(); err == nil {
			cmd.Args[4] = self
		}
		cmd.Env = append(os.Environ(), role+"="+want)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: Test") {
			t.Errorf("%v: %v\n%s", cmd, err, out)
		}
	}
}

// A stale file that is a mount point, such as a container's volume, cannot be replaced.
func TestStaleMountPoint(t *testing.T) {
	reexec.NeedRoot(t)
	if err := unix.Access("/proc/self/ns/mnt", 0); err != nil {
		t.Skipf("needs mount namespaces: %v", err)
	}
	dir := openDirectory(t)
	path, other := filepath.Join(dir, "s"), stalePath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got forgedEntry
	helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: path, Mount: other}, inMountNamespace)
	helper.Decode(&got)
	helper.Finish()
	if want := "remove " + path + ": it is a mount point: mount its directory instead: device or resource busy"; !strings.HasSuffix(got.Err, want) {
		t.Errorf("Listen at a mount point: %q, want %q", got.Err, want)
	}
}
