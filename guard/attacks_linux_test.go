package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
)

// connect(2) checks the permission first and then whether the socket listens. A peer that
// passes the check before listen(2) can find the socket listening after it. So no other
// group may have the permissions of the group that was asked for, even before listen(2).
func TestGroupBitsWaitForTheGroup(t *testing.T) {
	needRoot(t)
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
		t.Errorf("it let in a peer of another group %d times", saw.Passed)
	}
}

// The socket of another server took the place of ours after bind(2): its mode is not changed, it
// is not taken for ours, and so not removed by Close.
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
	needRoot(t)
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
	needRoot(t)
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

// The text of a link of /proc is a path that can lead elsewhere for us: the check of that
// path does not apply to the directory of another user to which the link leads.
func TestLinkThatLeadsElsewhere(t *testing.T) {
	needRoot(t)
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

// In a user namespace every group that it does not map looks like 65534. The socket does
// not stay in such a group, which a set-group-ID directory gave it.
func TestGroupThatIsNotMapped(t *testing.T) {
	needRoot(t)
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

// A socket of another user that we may not connect to is left alone. The error says that
// the address is in use, as for any other file that is there.
func TestSocketOfAnotherUser(t *testing.T) {
	needRoot(t)
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
	needRoot(t)
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
