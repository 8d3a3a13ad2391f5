package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
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

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// Attacks of other users on a socket file in a directory where they can exchange files.

// A directory of other users is allowed only as the socket's own directory.
func TestSharedDirectories(t *testing.T) {
	needRoot(t)
	base := openDirectory(t)
	mkdir := func(mode fs.FileMode, uid int, names ...string) {
		t.Helper()
		path := filepath.Join(append([]string{base}, names...)...)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, uid, uid), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(0o755, 4242, "eve")
	mkdir(0o755, 0, "eve", "mine")
	mkdir(0o777, 0, "open")
	mkdir(0o755, 0, "open", "mine")
	mkdir(0o777|fs.ModeSticky, 0, "sticky")
	mkdir(0o755, 4242, "sticky", "eve")
	mkdir(0o777, 0, "sticky", "open")
	for path, want := range map[string]string{
		"eve":         "",
		"open":        "",
		"sticky":      "",
		"sticky/open": "",
		// Its owner can put another directory in its place.
		"sticky/eve": "belongs to uid 4242",
		"eve/mine":   "belongs to uid 4242",
		"open/mine":  "can be written by others",
	} {
		listener, err := Listen(t.Context(), "unix", filepath.Join(base, path, "s"), Config{Policy: Nobody(), AllowSharedDirectory: true})
		if err == nil {
			listener.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// The owner of a shared directory exchanges the socket for another file between bind(2)
// and chmod(2). No file but the socket gets its mode.
func TestExchangedInASharedDirectory(t *testing.T) {
	needUnixDiag(t)
	for name, exchange := range map[string]func(path, victim string) error{
		"for a hard link": func(path, victim string) error { return errors.Join(os.Remove(path), os.Link(victim, path)) },
		"for a link":      func(path, victim string) error { return errors.Join(os.Remove(path), os.Symlink(victim, path)) },
		"for the file":    func(path, victim string) error { return os.Rename(victim, path) },
	} {
		for kind, makeVictim := range map[string]maker{
			"another server's socket": serve,
			"a socket that was bound just now": func(path string) (func(), error) {
				other := openAt(t, path)
				bindAt(t, other, ours(0o600))
				return func() {}, nil
			},
			"a file": func(path string) (func(), error) { return func() {}, os.WriteFile(path, nil, 0o600) },
		} {
			t.Run(name+" of "+kind, func(t *testing.T) {
				dir := t.TempDir()
				withUmask(t, 0o177)
				path, victim := filepath.Join(dir, "s"), filepath.Join(dir, "victim")
				if err := os.Chmod(dir, 0o777); err != nil {
					t.Fatal(err)
				}
				before := place(t, victim, makeVictim)
				at := openAt(t, path)
				if !at.shared {
					t.Fatal("the directory is not taken for a shared one")
				}
				socket := bindAt(t, at, ours(0o666))
				if err := exchange(path, victim); err != nil {
					t.Fatal(err)
				}
				if _, err := at.settle(socket, ours(0o666)); !errors.Is(err, errReplaced) {
					t.Errorf("%v, want that another user replaced it", err)
				}
				where := victim
				if name == "for the file" {
					where = path
				}
				if after, err := os.Lstat(where); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
					t.Errorf("the victim is %v, %v, and was %v", after, err, before.Mode())
				}
			})
		}
	}
}

// If the kernel does not tell which file is the socket's, the file in a shared directory
// can only have the mode that bind(2) gives it.
func TestSharedDirectoryWithoutUnixDiag(t *testing.T) {
	seccomp.Need(t)
	netlink := seccomp.Call{Number: unix.SYS_SOCKET, Argument: 0, Value: unix.AF_NETLINK}
	for mode, want := range map[uint32]string{0o600: "", 0o660: "use a directory of your own"} {
		dir := openDirectory(t)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: filepath.Join(dir, "s"), Mode: mode, Shared: true,
			Calls: []seccomp.Call{netlink}, Errnos: []syscall.Errno{unix.EAFNOSUPPORT}})
		helper.Decode(&got)
		helper.Finish()
		if (got.Err == "") != (want == "") || !strings.HasSuffix(got.Err, want) {
			t.Errorf("mode %#o: %q, want %q", mode, got.Err, want)
		}
		assertEmpty(t, dir)
	}
}

// needUnixDiag skips where the kernel's unix_diag is not there: it can be a module, and
// qemu-user has no such netlink socket. Asked about the inode number 0, which no socket
// has, unix_diag answers EINVAL, and a kernel without it ENOENT.
func needUnixDiag(t *testing.T) {
	t.Helper()
	answer, err := askUnixDiag(0, 0)
	if errors.Is(err, unix.EPFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skipf("needs unix_diag: %v", err)
	}
	if err != nil || len(answer) < unix.NLMSG_HDRLEN+4 {
		t.Fatalf("the answer about no socket is %x, %v, want an error number", answer, err)
	}
	if errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:]))); errno == unix.ENOENT {
		t.Skipf("needs unix_diag: %v", errno)
	}
}

// The kernel tells which file a socket is bound to.
func TestBoundInode(t *testing.T) {
	needUnixDiag(t)
	dir := t.TempDir()
	var sockets []*os.File
	var inodes []socketInode
	for n := range 2 {
		at := openAt(t, filepath.Join(dir, fmt.Sprint(n)))
		sockets = append(sockets, bindAt(t, at, ours(0o600)))
		inode, err := at.open()
		if err != nil {
			t.Fatal(err)
		}
		defer inode.close()
		inodes = append(inodes, inode)
	}
	for s, socket := range sockets {
		for i, inode := range inodes {
			if is, err := inode.isOf(socket); err != nil || is != (s == i) {
				t.Errorf("file %d is of socket %d: %v, %v", i, s, is, err)
			}
		}
	}
	unbound, err := newSocket("unix", ours(0o600))
	if err != nil {
		t.Fatal(err)
	}
	defer unbound.Close()
	if is, err := inodes[0].isOf(unbound); is || err == nil || !strings.Contains(err.Error(), "does not tell") {
		t.Errorf("a socket without a file: %v, %v, want that the kernel does not tell", is, err)
	}
}

// An answer that is cut short, or another, tells nothing.
func TestParseUnixDiag(t *testing.T) {
	needUnixDiag(t)
	at := openAt(t, filepath.Join(t.TempDir(), "s"))
	socket := bindAt(t, at, ours(0o600))
	var stat unix.Stat_t
	if err := unix.Fstat(int(socket.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	answer, err := askUnixDiag(uint32(stat.Ino), ^uint64(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := parseUnixDiag(answer); !ok {
		t.Fatalf("the kernel's answer tells nothing: %x", answer)
	}
	for n := range answer {
		if inode, ok := parseUnixDiag(answer[:n]); ok && n < len(answer)-8 {
			t.Errorf("%d of its %d bytes tell %d", n, len(answer), inode)
		}
	}
	if none, err := askUnixDiag(0, ^uint64(0)); err != nil {
		t.Error(err)
	} else if inode, ok := parseUnixDiag(none); ok {
		t.Errorf("of no socket the kernel tells %d", inode)
	}
}

// The owner of a shared directory exchanges names all the time, while root listens there
// on a socket that is for everybody, beside one that is for root alone.
func TestOwnerOfASharedDirectoryExchangesNames(t *testing.T) {
	needRoot(t)
	const rounds = 300
	base := openDirectory(t)
	dir := filepath.Join(base, "eve")
	uid := uint32(4242)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(base, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	withUmask(t, 0o177)
	private, err := Listen(t.Context(), "unix", filepath.Join(dir, "private"), Config{Policy: Nobody(), AllowSharedDirectory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	// The handle finds the file wherever eve puts it. She may remove it, and have us remove
	// it: the directory is hers.
	inode, err := openAt(t, filepath.Join(dir, "private")).open()
	if err != nil {
		t.Fatal(err)
	}
	defer inode.close()
	eve := reexec.Start(t, role{Do: "exchange", Address: dir, Network: secret, UID: &uid, GID: &uid})
	eve.Expect("exchanging")
	listened := 0
	for range rounds {
		listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "public"), Config{Policy: Nobody(), Mode: 0o666, Owner: "4243", AllowSharedDirectory: true})
		if err == nil {
			listened++
			listener.Close()
		}
	}
	eve.Proceed()
	var exchanged int
	eve.Decode(&exchanged)
	eve.Finish()
	if exchanged == 0 {
		t.Error("no name was exchanged, so it proves nothing")
	}
	t.Logf("listened %d times of %d, among %d exchanges", listened, rounds, exchanged)
	if info, err := os.Lstat(secret); err != nil || info.Mode() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the file elsewhere: %v, %v, want it as it was", info.Mode(), err)
	}
	if stat, err := inode.stat(); err != nil || stat.Mode != unix.S_IFSOCK|0o600 || stat.Uid != 0 {
		t.Errorf("the private socket has the mode %#o and uid %d, %v, want 0600 and 0", stat.Mode, stat.Uid, err)
	}
}

// helperExchange exchanges the names of two sockets in the directory Address, and puts a
// link to the file Network in their place, until the test says that it is enough.
func helperExchange(r role) error {
	if err := os.Chdir(r.Address); err != nil {
		return err
	}
	var enough atomic.Bool
	fmt.Println("exchanging")
	go func() {
		fmt.Scanln()
		enough.Store(true)
	}()
	exchanged := 0
	for n := 0; !enough.Load(); n++ {
		if unix.Renameat2(unix.AT_FDCWD, "private", unix.AT_FDCWD, "public", unix.RENAME_EXCHANGE) != nil {
			continue
		}
		exchanged++
		if n%2 == 0 && os.Symlink(r.Network, "link") == nil {
			_ = unix.Renameat2(unix.AT_FDCWD, "link", unix.AT_FDCWD, "private", unix.RENAME_EXCHANGE)
			_ = unix.Renameat2(unix.AT_FDCWD, "link", unix.AT_FDCWD, "private", unix.RENAME_EXCHANGE)
			_ = os.Remove("link")
		}
		_ = unix.Renameat2(unix.AT_FDCWD, "private", unix.AT_FDCWD, "public", unix.RENAME_EXCHANGE)
	}
	return reexec.Report(exchanged)
}

// If many servers start at once at a stale file, one of them listens.
func TestServersStartAtOnce(t *testing.T) {
	const rounds, servers = 20, 6
	for range rounds {
		path := stalePath(t)
		var helpers []*reexec.Process
		for range servers {
			helpers = append(helpers, reexec.Start(t, role{Do: "start", Address: path}))
		}
		for _, helper := range helpers {
			helper.Expect("ready")
		}
		for _, helper := range helpers {
			helper.Proceed()
		}
		listening := int32(0)
		for _, helper := range helpers {
			var said string
			helper.Decode(&said)
			switch {
			case said == "":
				if listening != 0 {
					t.Errorf("both pid %d and pid %d listen", listening, helper.PID())
				}
				listening = helper.PID()
			case !strings.Contains(said, "address already in use"):
				t.Errorf("pid %d: %s, want EADDRINUSE", helper.PID(), said)
			}
		}
		if listening == 0 {
			t.Error("nobody listens")
		} else if conn, err := Dial(t.Context(), "unix", path, PIDs(listening)); err != nil {
			t.Errorf("who listens is not who is there: %v", err)
		} else {
			conn.Close()
		}
		for _, helper := range helpers {
			helper.Finish()
		}
		if t.Failed() {
			return
		}
	}
}

// The lock is held until the stale file is removed.
func TestLockIsHeldWhileReplacing(t *testing.T) {
	needStrace(t)
	path := stalePath(t)
	env, err := reexec.Environment(role{Do: "listen", Network: "unix", Address: path})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=unlinkat", "-e", "inject=unlinkat:signal=STOP:when=1", self)
	cmd.Env = env
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			break // and it stops before it goes on
		}
		if time.Now().After(deadline) {
			t.Fatalf("the helper did not remove the file: %s", &out)
		}
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if err := tryLock(directory); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("to lock the directory as the file is removed: %v, want EWOULDBLOCK", err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	helper := 0
	if _, err := fmt.Sscan(string(children), &helper); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	for waiting := true; waiting; runtime.Gosched() {
		select {
		case err := <-done:
			if waiting = false; err != nil || !strings.Contains(out.String(), `"Err":""`) {
				t.Errorf("the helper: %v, %s", err, &out)
			}
		default:
			_ = unix.Kill(helper, unix.SIGCONT) // it may not have stopped yet
		}
	}
}

// helperStart listens at Address when it is told to, and reports the error.
func helperStart(r role) error {
	reexec.Step("ready")
	listener, err := Listen(context.Background(), "unix", r.Address, Config{Policy: Nobody(), Mode: fs.FileMode(r.Mode), AllowSharedDirectory: r.Shared})
	said := ""
	if err != nil {
		said = err.Error()
	}
	if err := reexec.Report(said); err != nil {
		return err
	}
	fmt.Scanln()
	if listener != nil {
		return listener.Close()
	}
	return nil
}

// A server that is killed at any call is followed by one that listens.
func TestKilledWhileItListens(t *testing.T) {
	needStrace(t)
	environment := func(path string) []string {
		env, err := reexec.Environment(role{Do: "listen", Network: "unix", Address: path, Umask: 0o077})
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// What changes something, or waits. Go's own start makes few of these calls.
	const calls = "socket,bind,flock,connect,unlinkat,getxattr,fchmod,?fchmodat2,fchmodat,fchownat,listen,?newfstatat"
	killed := 0
	for call := range strings.SplitSeq(calls, ",") {
		for n := 1; ; n++ {
			path := stalePath(t)
			cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+call, "-e", "inject="+call+":signal=KILL:when="+strconv.Itoa(n), self)
			cmd.Env = environment(path)
			out, err := cmd.CombinedOutput()
			if err == nil {
				break // there is no n-th
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
				t.Fatalf("strace: %v\n%s", err, out)
			}
			killed++
			listener, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
			if err != nil {
				t.Fatalf("after one that was killed at %s %d: %v", call, n, err)
			}
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Errorf("after one that was killed at %s %d: %v", call, n, err)
			} else {
				conn.Close()
			}
			listener.Close()
			assertEmpty(t, filepath.Dir(path))
		}
	}
	if killed < 10 {
		t.Errorf("it was killed %d times, want at every call", killed)
	}
	t.Logf("killed at %d calls", killed)
}
