package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

func init() {
	roles["mount"] = helperMount
	roles["mount on demand"] = helperMountOnDemand
	roles["exchange"] = helperExchange
	roles["start"] = helperStart
}

// Attacks of other users on a socket file, above all where they can exchange files.

// connect(2) checks the permission first and then whether the socket listens. A peer that
// passes the check before listen(2) can find the socket listening after it. So no other
// group may have the permissions of the group that was asked for, even before listen(2).
func TestGroupBitsWaitForTheGroup(t *testing.T) {
	reexec.NeedRoot(t)
	withUmask(t, 0o022)
	dir := openDirectory(t)
	path := filepath.Join(dir, "s")
	nobody, ours := uint32(65534), uint32(os.Getegid())
	watching := reexec.Start(t, role{Do: "watch", Address: path, UID: &nobody, GID: &ours})
	watching.Expect("watching")
	for range 2000 {
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Mode: 0o660, Group: "2424"})
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	watching.Proceed()
	var saw sight
	watching.Decode(&saw)
	watching.Finish()
	if saw.Files["0140660 0 2424"] == 0 {
		t.Errorf("the watcher never saw the socket in %d looks, so it proves nothing: %v", saw.Looks, saw.Files)
	}
	for file, times := range saw.Files {
		if !strings.HasSuffix(file, " 2424") && !strings.HasPrefix(file, "0140600 ") {
			t.Errorf("seen %d times: %s, want no permission for another group than 2424", times, file)
		}
	}
	if saw.Passed > 0 {
		t.Errorf("it admitted a peer of another group %d times", saw.Passed)
	}
}

// The socket of another server took the place of ours after bind(2). Its mode is not
// changed, and Close does not remove it.
func TestAnotherSocketAfterBind(t *testing.T) {
	needUnixDiag(t)
	for _, mode := range []os.FileMode{0o600, 0o666} {
		path := filepath.Join(t.TempDir(), "s")
		want := ours(mode)
		at := openAt(t, path)
		socket := bindAt(t, at, want)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		other, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.settle(socket, want); !errors.Is(err, errReplaced) {
			t.Errorf("mode %#o: settle = %v, want %v", mode, err, errReplaced)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("mode %#o: the other server's file: %v, %v, want mode 0600", mode, info, err)
		}
		other.Close()
	}
}

// A server that was killed between bind(2) and chmod(2) under the umask 0777 leaves a stale file
// that an ordinary user may not connect to.
func TestStaleFileThatWeMayNotWrite(t *testing.T) {
	reexec.NeedRoot(t)
	dir := openDirectory(t)
	id := uint32(4242)
	if err := os.Chown(dir, int(id), int(id)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Close(fd), os.Chmod(path, 0), os.Chown(path, int(id), int(id))); err != nil {
		t.Fatal(err)
	}
	t.Run("and whose mode we may not change", func(t *testing.T) {
		seccomp.Need(t)
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: path, UID: &id, GID: &id,
			Calls: []seccomp.Call{seccomp.Any(unix.SYS_FCHMODAT), seccomp.Any(unix.SYS_FCHMODAT2)}, Errnos: []syscall.Errno{unix.EPERM}})
		helper.Decode(&got)
		helper.Finish()
		if want := "chmod " + path + ": operation not permitted"; !strings.HasSuffix(got.Err, want) {
			t.Errorf("%q, want %q", got.Err, want)
		}
	})
	start := reexec.Start(t, role{Do: "start", Address: path, UID: &id, GID: &id})
	start.Expect("ready")
	start.Proceed()
	var said string
	start.Decode(&said)
	start.Proceed()
	start.Finish()
	if said != "" {
		t.Errorf("Listen = %s, want a listener", said)
	}
}

// bind(2) makes the file before it enters the socket in the kernel's table. Until then the file
// looks stale. A file system that writes directories at once makes this take long.
func TestBindThatHasNotEnded(t *testing.T) {
	reexec.NeedRoot(t)
	needOwnCalls(t)
	needTool(t, "mkfs.ext4", "e2fsprogs")
	place := t.TempDir()
	image, dir := filepath.Join(place, "image"), filepath.Join(place, "mnt")
	for _, step := range []func() error{
		func() error { return os.Mkdir(dir, 0o755) },
		func() error { return os.WriteFile(image, nil, 0o600) },
		func() error { return os.Truncate(image, 64<<20) },
		exec.Command("mkfs.ext4", "-q", image).Run,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mount", "-o", "loop,dirsync", image, dir).CombinedOutput(); err != nil {
		t.Skipf("needs to mount a file system with dirsync: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	path := filepath.Join(dir, "s")
	for round := range 150 {
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()
		var servers [4]*Listener
		var starting sync.WaitGroup
		for i := range servers {
			starting.Go(func() {
				servers[i], _ = Listen(context.Background(), "unix", path, Config{Policy: CurrentUser()})
			})
		}
		starting.Wait()
		won := 0
		for _, server := range servers {
			if server != nil {
				won++
				server.Close()
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d of %d servers listen, want 1", round, won, len(servers))
		}
	}
}

// A directory of a user whose uid we cannot distinguish from ours is not ours.
func TestDirectoryOfOverflowID(t *testing.T) {
	reexec.NeedRoot(t)
	needUserNamespaces(t)
	for _, test := range []struct {
		name   string
		where  reexec.Option
		owner  int
		shared bool
		says   string
	}{
		{"we are mapped", inUserNamespace(0, 0), 0, false, ""},
		{"nobody is mapped", func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER} }, 0, false, "/ belongs to uid 65534"},
		{"root is not mapped", inUserNamespace(0, 4242), 4242, false, "/ belongs to uid 65534"},
		{"root is not mapped, and trusted", inUserNamespace(0, 4242), 4242, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := openDirectory(t)
			if err := os.Chown(dir, test.owner, test.owner); err != nil {
				t.Fatal(err)
			}
			var got forgedEntry
			r := role{Do: "listen", Network: "unix", Address: filepath.Join(dir, "s"), Mode: 0o600, Shared: test.shared}
			reexec.Start(t, r, test.where).Decode(&got)
			if (got.Err == "") != (test.says == "") || !strings.Contains(got.Err, test.says) {
				t.Errorf("%q, want %q", got.Err, test.says)
			}
		})
	}
}

// If a link belongs to another user, or leads through a directory of another user, that user
// can make it lead elsewhere.
func TestLinksOfOthers(t *testing.T) {
	reexec.NeedRoot(t)
	base, err := filepath.EvalSymlinks(openDirectory(t)) // whose links would count
	if err != nil {
		t.Fatal(err)
	}
	mine, eve, shared := filepath.Join(base, "mine"), filepath.Join(base, "eve"), filepath.Join(base, "shared")
	for _, dir := range []string{mine, eve, shared} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{filepath.Join(mine, "0"): "."}
	for n := range maxLinks {
		links[filepath.Join(mine, strconv.Itoa(n+1))] = strconv.Itoa(n)
	}
	maps.Copy(links, map[string]string{
		filepath.Join(shared, "eves"): mine, filepath.Join(shared, "ours"): mine,
		filepath.Join(eve, "hop"): mine, filepath.Join(base, "through"): filepath.Join(eve, "hop"),
		filepath.Join(base, "loop"): "loop", filepath.Join(base, "relative"): "mine/../mine/.",
	})
	for link, target := range links {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(shared, 0o777|os.ModeSticky), os.Chown(eve, 4242, 4242),
		os.Lchown(filepath.Join(eve, "hop"), 4242, 4242), os.Lchown(filepath.Join(shared, "eves"), 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		mine: "", filepath.Join(shared, "ours"): "", filepath.Join(base, "relative"): "",
		filepath.Join(shared, "eves"):  "belongs to uid 4242",
		filepath.Join(base, "through"): "belongs to uid 4242",
		filepath.Join(eve, "hop"):      "belongs to uid 4242",
		eve + "/../mine":               "belongs to uid 4242",
		eve + "/hop/../mine":           "belongs to uid 4242",
		filepath.Join(base, "loop"):    "too many levels",

		filepath.Join(mine, strconv.Itoa(maxLinks-1)): "", // links, and "0"
		filepath.Join(mine, strconv.Itoa(maxLinks)):   "too many levels",
	} {
		listener, err := Listen(t.Context(), "unix", path+"/s", Config{Policy: Nobody()})
		if err == nil {
			listener.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A directory of other users is allowed only as the socket's own directory.
func TestSharedDirectories(t *testing.T) {
	reexec.NeedRoot(t)
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
	mkdir(0o755, 0, "mine")
	link := filepath.Join(base, "link")
	if err := errors.Join(os.Symlink("mine", link), os.Lchown(link, 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"eve":         "",
		"open":        "",
		"sticky":      "",
		"sticky/open": "",
		"open/.":      "",
		// Its owner can put another directory in its place.
		"sticky/eve": "belongs to uid 4242",
		"eve/mine":   "belongs to uid 4242",
		"open/mine":  "can be written by others",
		"link":       "belongs to uid 4242",
	} {
		listener, err := Listen(t.Context(), "unix", base+"/"+path+"/s", Config{Policy: Nobody(), AllowSharedDirectory: true})
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

// If the kernel does not report which file is the socket's, the file in a shared directory
// can only have the mode that bind(2) gives it.
func TestSharedDirectoryWithoutUnixDiag(t *testing.T) {
	seccomp.Need(t)
	netlink := seccomp.Call{Number: unix.SYS_SOCKET, Argument: 0, Value: unix.AF_NETLINK}
	datagrams := seccomp.Call{Number: unix.SYS_SOCKET, Argument: 1, Value: unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}
	for _, test := range []struct {
		dir   fs.FileMode
		mode  uint32
		call  seccomp.Call
		errno syscall.Errno
		want  string // before what to do
	}{
		{0o755, 0o660, netlink, unix.EAFNOSUPPORT, ""}, // which is not shared
		{0o777, 0o600, netlink, unix.EAFNOSUPPORT, ""},
		{0o777, 0o660, netlink, unix.EAFNOSUPPORT, "socket(NETLINK_SOCK_DIAG): address family not supported by protocol"},
		{0o777, 0o660, datagrams, unix.EMFILE, "socket(NETLINK_SOCK_DIAG): too many open files"},
		{0o777, 0o660, seccomp.Any(unix.SYS_SENDTO), unix.EPERM, "sendto: operation not permitted"},
		{0o777, 0o660, seccomp.Any(unix.SYS_SENDTO), 0, "recvfrom: resource temporarily unavailable"},
		{0o777, 0o660, seccomp.Option(unix.SO_COOKIE), unix.EPERM, "getsockopt(SO_COOKIE): operation not permitted"},
	} {
		dir := openDirectory(t)
		if err := os.Chmod(dir, test.dir); err != nil {
			t.Fatal(err)
		}
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: filepath.Join(dir, "s"), Mode: test.mode, Shared: true,
			Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{test.errno}})
		helper.Decode(&got)
		helper.Finish()
		if test.want != "" {
			test.want += ": use a directory of your own"
		}
		if (got.Err == "") != (test.want == "") || !strings.HasSuffix(got.Err, test.want) {
			t.Errorf("mode %#o in %#o: %q, want %q", test.mode, test.dir, got.Err, test.want)
		}
		assertEmpty(t, dir)
	}
}

// The owner of a shared directory exchanges names all the time. Meanwhile root listens there
// on a socket for everybody. A socket for root alone is beside it.
func TestOwnerOfASharedDirectoryExchangesNames(t *testing.T) {
	reexec.NeedRoot(t)
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
	// The handle finds the file wherever eve puts it. She may remove the file, or make us
	// remove it, because the directory is hers.
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

// helperStart listens at Address when the test lets it go on, and reports the error.
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

// After a server was killed at any call, the next server can listen.
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
	// The calls that change something, or wait. Go's own start makes few of them.
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

// The text of a link of /proc is a path that can lead elsewhere for us: the check of that
// path does not apply to the directory of another user to which the link leads.
func TestLinkThatLeadsElsewhere(t *testing.T) {
	reexec.NeedRoot(t)
	needOwnCalls(t)
	dir := openDirectory(t)
	eve := reexec.Start(t, role{Do: "mount", Address: dir, Mount: "mode=0777,uid=4242"}, inMountNamespace)
	eve.Expect("mounted")
	elsewhere := fmt.Sprintf("/proc/%d/root%s", eve.PID(), dir)
	info, err := os.Stat(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 4242 {
		t.Fatalf("%s belongs to uid %d, want 4242", elsewhere, uid)
	}
	open, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for path, want := range map[string]string{
		elsewhere: "is not the directory",
		fmt.Sprintf("/proc/self/fd/%d", open.Fd()): "",
	} {
		listener, err := Listen(t.Context(), "unix", path+"/s", Config{Policy: Nobody()})
		if err == nil {
			listener.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	eve.Proceed()
	eve.Finish()
}

// helperMount mounts a file system with the options Mount over Address.
func helperMount(r role) error {
	if err := unix.Mount("tmpfs", r.Address, "tmpfs", 0, r.Mount); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	reexec.Step("mounted")
	return nil
}

// A socket of another user that we may not connect to is left alone. The error says that
// the address is in use, as for any other file that is there.
func TestSocketOfAnotherUser(t *testing.T) {
	reexec.NeedRoot(t)
	dir := openDirectory(t)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	live := place(t, path, serve)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	uid := uint32(4242)
	helper := reexec.Start(t, role{Do: "start", Address: path, UID: &uid, GID: &uid})
	helper.Expect("ready")
	helper.Proceed()
	var said string
	helper.Decode(&said)
	if !strings.Contains(said, "permission denied") || !strings.HasSuffix(said, "address already in use") {
		t.Errorf("%q, want that permission is denied and that the address is in use", said)
	}
	helper.Proceed()
	helper.Finish()
	if now, err := os.Lstat(path); err != nil || !os.SameFile(live, now) {
		t.Errorf("it was replaced: %v", err)
	}
}

// While we look at the file of another server, that server may set its mode. We do not
// undo that.
func TestModeThatItsServerSet(t *testing.T) {
	at := openAt(t, filepath.Join(t.TempDir(), "s"))
	bindAt(t, at, ours(0))
	inode, err := at.open()
	if err != nil {
		t.Fatal(err)
	}
	defer inode.close()
	for now, want := range map[uint32]os.FileMode{
		0o200: 0o000, // as checkStale left it
		0o660: 0o660, // as its server set it
	} {
		if err := errors.Join(inode.chmod(now), restoreMode(inode, 0)); err != nil {
			t.Fatal(err)
		}
		if stat, err := inode.stat(); err != nil || permissions(stat) != want {
			t.Errorf("from the mode %#o: %#o, %v, want %#o", now, permissions(stat), err, want)
		}
	}
}

// A file system that autofs(5) mounts on demand is mounted before its root is checked.
func TestMountOnDemand(t *testing.T) {
	reexec.NeedRoot(t)
	needOwnCalls(t)
	systems, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(systems), "\tautofs\n") {
		t.Skipf("needs autofs in /proc/filesystems: %v", err)
	}
	dir := openDirectory(t)
	var got forgedEntry
	helper := reexec.Start(t, role{Do: "mount on demand", Address: dir, Mount: "mode=0777,uid=4242"}, inMountNamespace)
	helper.Decode(&got)
	helper.Finish()
	if want := dir + " belongs to uid 4242"; !strings.Contains(got.Err, want) {
		t.Errorf("%q, want %q", got.Err, want)
	}
}

// helperMountOnDemand has another process listen in Address, where it mounts a file system
// with the options Mount as soon as the kernel asks for it. The kernel does not ask for the
// processes of this process group.
//
// Source: linux/auto_fs.h.
func helperMountOnDemand(r role) error {
	asked, asks, err := os.Pipe()
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", asks.Fd(), unix.Getpgrp())
	if err := unix.Mount("peercred", r.Address, "autofs", 0, options); err != nil {
		return fmt.Errorf("mount autofs: %w", err)
	}
	root, err := os.Open(r.Address)
	if err != nil {
		return err
	}
	go func() {
		const ready, token = 0x9360, 8 // AUTOFS_IOC_READY, and wait_queue_token of autofs_v5_packet
		packet := make([]byte, 4096)
		_, err := asked.Read(packet)
		err = errors.Join(err, unix.Mount("tmpfs", r.Address, "tmpfs", 0, r.Mount))
		err = errors.Join(err, unix.IoctlSetInt(int(root.Fd()), ready, int(binary.NativeEndian.Uint32(packet[token:]))))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}()
	listen, err := reexec.Command(role{Do: "listen", Network: "unix", Address: filepath.Join(r.Address, "s")})
	if err != nil {
		return err
	}
	listen.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	listen.Stdout, listen.Stderr = os.Stdout, os.Stderr
	return listen.Run()
}

// If others can exchange files, the path of the caller is not used to reach the socket file.
func TestPathOfASocketFile(t *testing.T) {
	file, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	open := int(file.Fd())
	for _, test := range []struct {
		fd     int
		shared bool
		want   string
	}{
		{open, false, fmt.Sprintf("/proc/self/fd/%d", open)},
		{open, true, fmt.Sprintf("/proc/self/fd/%d", open)},
		{-1, false, "/dir/s"}, // as if /proc were not mounted
		{-1, true, "/proc/self/fd/-1"},
	} {
		if got := (socketInode{&socketPath{path: "/dir/s", shared: test.shared}, test.fd}).path(); got != test.want {
			t.Errorf("descriptor %d, shared: %v: %q, want %q", test.fd, test.shared, got, test.want)
		}
	}
	if _, err := (socketInode{&socketPath{shared: true}, -1}).hasACL(); err == nil || !strings.HasSuffix(err.Error(), ": mount /proc") {
		t.Errorf("without /proc: %v, want that it must be mounted", err)
	}
}
