package guard

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	roles["watch"] = helperWatch
}

// sight is what a watcher saw.
type sight struct {
	Looks  int
	Files  map[string]int // how often what was there, by mode, uid and gid
	Passed int            // how often the socket admitted it
}

// helperWatch looks at Address and at all files beside it, and tries to connect, in a tight
// loop. For each line on its stdin it reports what it has seen so far.
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
		// Look twice. The kernel reads mode, uid and gid one after the other, so one look can
		// see the new mode with the old gid.
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

// asOrdinaryUser runs the calling test again under a user whose uid and gid differ and
// are not 0, and reports whether it has done so.
func asOrdinaryUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != os.Getegid() {
		return false
	}
	if os.Geteuid() != 0 {
		t.Skip("needs a uid and a gid that differ, or root, to take some")
	}
	runAs(t, 1234, "^"+t.Name()+"$")
	return true
}

// The socket file is ours, and our group's, unless Owner and Group say otherwise.
func TestDefaultOwnerAndGroup(t *testing.T) {
	if asOrdinaryUser(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		t.Fatal(err)
	}
	got, want := fmt.Sprintf("%d:%d", stat.Uid, stat.Gid), fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	if got != want {
		t.Errorf("the socket file belongs to %s, want %s", got, want)
	}
}

// All tests that do not require root pass for an ordinary user. Those that watch a file for
// seconds are left out, because they show nothing more.
func TestAsAnOrdinaryUser(t *testing.T) {
	reexec.NeedRoot(t)
	needOwnCalls(t)
	runAs(t, 1234, ".", "-test.skip", "^(TestSocketFileIsWatched|TestSocketFileIsNeverWider|TestReplacingIsLocked)$")
}

// The socket file always has the configured attributes, under any name that others can
// reach. Another process looks and tries to connect all the time, while a thousand listeners
// come and go. If we may, it runs as another user.
func TestSocketFileIsWatched(t *testing.T) {
	const rounds = 1000
	dir := openDirectory(t)
	withUmask(t, 0)
	path := filepath.Join(dir, "s")
	config := Config{Policy: Nobody(), Mode: 0o640}
	watcher := role{Do: "watch", Address: path}
	ours := fmt.Sprintf("%d %d", os.Geteuid(), os.Getegid())
	want, ofGroup := "0140640 "+ours, ours
	if os.Geteuid() == 0 {
		uid := uint32(65534)
		watcher.UID, watcher.GID = &uid, &uid
		config.Owner, config.Group = "4242", "2424"
		want, ofGroup = "0140640 4242 2424", "0 2424"
	}
	watching := reexec.Start(t, watcher)
	watching.Expect("watching")
	var saw sight
	// On a busy machine the watcher may need more rounds to look.
	for began := time.Now(); saw.Files[want] == 0 && time.Since(began) < patience; {
		for range rounds {
			listener, err := Listen(t.Context(), "unix", path, config)
			if err != nil {
				t.Fatal(err)
			}
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
		}
		watching.Proceed()
		watching.Decode(&saw)
	}
	watching.Finish()
	if saw.Files[want] == 0 {
		t.Errorf("the watcher never saw the socket in %d looks, so it proves nothing: %v", saw.Looks, saw.Files)
	}
	for _, expected := range []string{want, "0140600 " + ours, "0140600 " + ofGroup, "0140640 " + ofGroup} {
		delete(saw.Files, expected)
	}
	if len(saw.Files) > 0 {
		t.Errorf("the file was neither %q nor narrower before it listens: %v", want, saw.Files)
	}
	if os.Geteuid() == 0 && saw.Passed > 0 {
		t.Errorf("it admitted another user %d times", saw.Passed)
	}
	assertEmpty(t, dir)
}

// Files that others make meanwhile have the modes that the umask leaves them.
func TestUmaskIsLeftAlone(t *testing.T) {
	dir, others := t.TempDir(), t.TempDir()
	withUmask(t, 0o002)
	var enough atomic.Bool
	var maker sync.WaitGroup
	maker.Go(func() {
		for n := 0; !enough.Load(); n++ {
			path := filepath.Join(others, strconv.Itoa(n))
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Error(err)
				return
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != 0o664 {
				t.Errorf("a file has the mode %v, %v, want 0664", info.Mode(), err)
				return
			}
			os.Remove(path)
		}
	})
	for range 200 {
		listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "s"), Config{Policy: Nobody()})
		if err != nil {
			t.Error(err)
			break
		}
		listener.Close()
	}
	enough.Store(true)
	maker.Wait()
}

// Owner and group are given by name or number.
func TestSocketFileOwner(t *testing.T) {
	reexec.NeedRoot(t)
	for _, test := range []struct{ owner, group, want string }{
		{"", "", "0 0"}, {"4242", "", "4242 0"}, {"", "2424", "0 2424"}, {"daemon", "daemon", "1 1"}, {"root", "root", "0 0"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Owner: test.owner, Group: test.group})
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %d", stat.Uid, stat.Gid); got != test.want {
			t.Errorf("owner %q, group %q: %s, want %s", test.owner, test.group, got, test.want)
		}
		listener.Close()
	}
}

// If we may not give the socket file away, we leave no file behind.
func TestOwnerThatWeMayNotGive(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Run("under another user", func(t *testing.T) { runAs(t, 4242, "^TestOwnerThatWeMayNotGive$") })
		return
	}
	dir := t.TempDir()
	listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "s"), Config{Policy: Nobody(), Owner: "0"})
	if listener != nil || !errors.Is(err, unix.EPERM) {
		t.Errorf("Listen = %v, %v, want EPERM", listener, err)
	}
	assertEmpty(t, dir)
}

// A directory in which we may write need not be one that we may read.
func TestDirectoryThatWeMayNotRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Run("under another user", func(t *testing.T) { runAs(t, 4242, "^TestDirectoryThatWeMayNotRead$") })
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	for range 2 { // the second time at a stale file
		listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "s"), Config{Policy: Nobody()})
		if err != nil {
			t.Fatal(err)
		}
		listener.SetUnlinkOnClose(false)
		listener.Close()
	}
}

// A live socket that we may not connect to is not stale.
func TestSocketThatMayNotBeProbed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Run("under another user", func(t *testing.T) { runAs(t, 4242, "^TestSocketThatMayNotBeProbed$") })
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	live := place(t, path, serve)
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody()})
	if listener != nil || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("Listen = %v, %v, want EADDRINUSE", listener, err)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(live, now) || now.Mode() != os.ModeSocket|0o440 {
		t.Errorf("it was replaced, or has another mode: %v", err)
	}
}

func TestAbstractNames(t *testing.T) {
	name := abstract()
	for _, config := range []Config{{Policy: Nobody(), Mode: 0o600}, {Policy: Nobody(), Owner: "0"}, {Policy: Nobody(), Group: "0"}} {
		if listener, err := Listen(t.Context(), "unix", name, config); listener != nil || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "abstract") {
			t.Errorf("%+v: %v, %v, want EINVAL and why", config, listener, err)
		}
	}
	long := "@" + strings.Repeat("x", 108)
	if _, err := Listen(t.Context(), "unix", long, Config{Policy: Nobody()}); !errors.Is(err, unix.EINVAL) || strings.Contains(err.Error(), "another process") {
		t.Errorf("a long name: %v, want EINVAL, and nothing about another process", err)
	}
	listener, err := Listen(t.Context(), "unix", name, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	welcome(t, listener)
	if said, err := io.ReadAll(dialPlain(t, listener)); string(said) != "welcome" || err != nil {
		t.Errorf("it says %q, %v", said, err)
	}
	_, err = Listen(t.Context(), "unix", name, Config{Policy: Nobody()})
	want := "listen unix " + name + ": bind: address already in use: another process has this name: stop it, or use another name"
	if !errors.Is(err, unix.EADDRINUSE) || err.Error() != want {
		t.Errorf("a second listener: %v, want %s", err, want)
	}
}

func TestSeqpacket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(t.Context(), "unixpacket", path, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := Dial(t.Context(), "unixpacket", path, CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := acceptPeer(t, listener).Peer().Credentials(); got.PID != int32(os.Getpid()) {
		t.Errorf("the peer is %v", got)
	}
}

func listenForUs(address string, config Config) (*Listener, error) {
	return Listen(context.Background(), "unix", address, config)
}

// guardForUs guards a listener of package net.
func guardForUs(address string, config Config) (*Listener, error) {
	inner, err := net.Listen("unix", address)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, config)
}

// The socket has our own group unless Group is set, even if the directory gives another
// group to its files.
func TestGroupOfTheDirectory(t *testing.T) {
	reexec.NeedRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, 0, 4242), os.Chmod(dir, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Mode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil || stat.Gid != uint32(os.Getegid()) || stat.Mode != unix.S_IFSOCK|0o660 {
		t.Errorf("gid %d, mode %#o, %v, want gid %d and mode 0660", stat.Gid, stat.Mode, err, os.Getegid())
	}
}

// The socket has no access control list, even if the directory gives one to its files. With
// the mode 0660 everybody in that list could connect.
func TestACLOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	list := []byte{2, 0, 0, 0} // the version; then tag, permissions and id of each entry
	for _, entry := range [][3]uint32{{1, 7, 1<<32 - 1}, {2, 7, 4242}, {4, 5, 1<<32 - 1}, {0x10, 7, 1<<32 - 1}, {0x20, 5, 1<<32 - 1}} {
		list = binary.LittleEndian.AppendUint16(list, uint16(entry[0]))
		list = binary.LittleEndian.AppendUint16(list, uint16(entry[1]))
		list = binary.LittleEndian.AppendUint32(list, entry[2])
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", list, 0); err != nil {
		t.Skipf("needs a file system with access control lists: %v", err)
	}
	path := filepath.Join(dir, "s")
	for _, mode := range []fs.FileMode{0o600, 0o660} {
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody(), Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		if size, err := unix.Lgetxattr(path, "system.posix_acl_access", nil); err != unix.ENODATA {
			t.Errorf("the socket has an access control list: %d bytes, %v", size, err)
		}
		listener.Close()
	}
	t.Run("that cannot be removed", func(t *testing.T) {
		seccomp.Need(t)
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: path,
			Calls: []seccomp.Call{seccomp.Any(unix.SYS_REMOVEXATTR)}, Errnos: []syscall.Errno{unix.EPERM}})
		helper.Decode(&got)
		helper.Finish()
		if want := "remove the access control list of " + path + ", which comes from its directory: operation not permitted"; !strings.HasSuffix(got.Err, want) {
			t.Errorf("%q, want %q", got.Err, want)
		}
		assertEmpty(t, dir)
	})
}

// The advice to map our group is given only if the group is not mapped, and if the kernel
// says so.
func TestGroupThatCannotBeGiven(t *testing.T) {
	reexec.NeedRoot(t)
	needUnixDiag(t)
	needUserNamespaces(t)
	seccomp.Need(t)
	unmapped := func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER} }
	for errno, where := range map[syscall.Errno][]reexec.Option{unix.EINVAL: nil, unix.EPERM: {unmapped}} {
		dir := openDirectory(t)
		if err := errors.Join(os.Chown(dir, 0, 4242), os.Chmod(dir, 0o755|os.ModeSetgid)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "s")
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: path, Shared: true,
			Calls: []seccomp.Call{seccomp.Any(unix.SYS_FCHOWNAT)}, Errnos: []syscall.Errno{errno}}, where...)
		helper.Decode(&got)
		helper.Finish()
		if !strings.Contains(got.Err, ": give "+path+" to gid ") || !strings.HasSuffix(got.Err, ": "+errno.Error()) {
			t.Errorf("%v: %q, want which group it is", errno, got.Err)
		}
		assertEmpty(t, dir)
	}
}

// In a user namespace every group that it does not map looks like 65534. The socket does
// not stay in such a group, which a set-group-ID directory gave it.
func TestGroupThatIsNotMapped(t *testing.T) {
	reexec.NeedRoot(t)
	needOwnCalls(t)
	needUnixDiag(t)
	needUserNamespaces(t)
	const nobody, eves, base = 65534, 6666, 100000
	for _, test := range []struct {
		name   string
		mapped bool // as in a rootless container
		mode   uint32
		want   string
		gid    uint32 // outside
	}{
		{"mapped", true, 0o660, "", base + nobody},
		{"not mapped", false, 0o660, "only if gid 65534 is mapped", 0},
		{"not mapped, for the owner alone", false, 0o600, "", eves},
		{"not mapped, for all but the group", false, 0o707, "", eves},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, owner := openDirectory(t), 0
			if test.mapped {
				owner = base + nobody
			}
			if err := errors.Join(os.Chown(dir, owner, eves), os.Chmod(dir, 0o755|os.ModeSetgid)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "s")
			server := reexec.Start(t, role{Do: "start", Address: path, Mode: test.mode, Shared: true}, func(c *exec.Cmd) {
				c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
				if test.mapped {
					ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 65536}}
					c.SysProcAttr.UidMappings, c.SysProcAttr.GidMappings, c.SysProcAttr.GidMappingsEnableSetgroups = ids, ids, true
					c.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
				}
			})
			server.Expect("ready")
			server.Proceed()
			var said string
			server.Decode(&said)
			if (said == "") != (test.want == "") || !strings.Contains(said, test.want) {
				t.Errorf("%q, want %q", said, test.want)
			}
			if said == "" {
				var stat unix.Stat_t
				if err := unix.Lstat(path, &stat); err != nil || stat.Gid != test.gid || stat.Mode != unix.S_IFSOCK|test.mode {
					t.Errorf("gid %d, mode %#o, %v, want gid %d and mode %#o", stat.Gid, stat.Mode, err, test.gid, test.mode)
				}
			} else {
				assertEmpty(t, dir)
			}
			server.Proceed()
			server.Finish()
		})
	}
}
