package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

func init() {
	roles["listen"] = helperListen
}

// In these tests a seccomp filter makes a call fail that Listen makes. Then there is no
// listener, and nothing of it is left.

// helperListen listens at Address, while calls are forged if there are any.
func helperListen(r role) error {
	var errno syscall.Errno
	if len(r.Calls) > 0 {
		peercred.Support() // whose socket for a look at the kernel is made but once
		if r.CloseOnExit { // the runtime's poller must have started
			read, write, err := os.Pipe()
			if err := errors.Join(err, read.Close(), write.Close()); err != nil {
				return err
			}
		}
		errno = r.Errnos[0]
		if err := seccomp.Forge(errno, r.Calls...); err != nil {
			return err
		}
	}
	unix.Umask(r.Umask)
	mode := os.FileMode(cmp.Or(r.Mode, 0o660))
	if r.Mount != "" {
		if err := unix.Mount(r.Mount, r.Address, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
	}
	before := openDescriptors()
	if isTCP(r.Network) {
		listener, err := Listen(context.Background(), r.Network, r.Address, Config{Policy: Nobody()})
		if err == nil {
			err = listener.Close()
		}
		return reexec.Report(forgedEntryOf(errno, err))
	}
	listener, err := Listen(context.Background(), r.Network, r.Address, Config{Policy: Nobody(), AllowSharedDirectory: r.Shared, Mode: mode, CloseOnExit: r.CloseOnExit})
	if err == nil {
		if info, statErr := os.Lstat(r.Address); statErr != nil || info.Mode() != os.ModeSocket|mode {
			return fmt.Errorf("the socket file: %v, %v, want mode %v", info, statErr, mode)
		}
		if quick := listener.quick.Load(); quick != descriptorsAreRefused(listener) {
			return fmt.Errorf("a close is taken for quick: %v", quick)
		}
		err = listener.Close()
	} else if listener != nil {
		return errors.New("a listener and an error")
	}
	if after := openDescriptors(); after > before {
		return fmt.Errorf("%d descriptors are open, and were %d", after, before)
	}
	return reexec.Report(forgedEntryOf(errno, err))
}

// openDescriptors counts the descriptors of this process that have a file type, unlike
// those of the runtime's poller.
func openDescriptors() int {
	count := 0
	for fd := range 100 {
		var stat unix.Stat_t
		if unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT != 0 {
			count++
		}
	}
	return count
}

func TestListenWhereCallsFail(t *testing.T) {
	seccomp.Need(t)
	packets := seccomp.Call{Number: unix.SYS_SOCKETPAIR, Argument: 1, Value: unix.SOCK_SEQPACKET | unix.SOCK_CLOEXEC}
	for _, test := range []struct {
		name, network string
		call          seccomp.Call
		errno         syscall.Errno
		says, ends    string // "" for a listener
	}{
		{"no credentials", "unix", seccomp.Option(unix.SO_PEERCRED), unix.ENOPROTOOPT, "peer credentials unavailable on linux: ", "protocol not available"},
		{"the kernel cannot be asked", "unix", seccomp.Option(unix.SO_PEERCRED), unix.EPERM, "peer credentials unavailable on linux: ", "operation not permitted"},
		{"packets cannot be asked for", "unixpacket", packets, unix.EMFILE, "socketpair: ", "too many open files"},
		{"the socket's type fails", "unixpacket", seccomp.Option(unix.SO_TYPE), unix.EPERM, "check that the socket can have a peer: ", "operation not permitted"},
		{"descriptors cannot be refused", "unix", passRights, unix.EPERM, "setsockopt(SO_PASSRIGHTS): ", "operation not permitted"},
		{"the kernel is older", "unix", passRights, unix.ENOPROTOOPT, "", ""},
		{"an emulator knows no such option", "unix", passRights, unix.EINVAL, "", ""},
		{"another emulator knows no such option", "unix", passRights, unix.EOPNOTSUPP, "", ""},
		{"handles on processes are not asked for", "unix", seccomp.Option(unix.SO_PEERPIDFD), unix.ENOPROTOOPT, "", ""},
		{"packets are not asked for", "unix", packets, unix.EMFILE, "", ""},
		{"a link cannot be read", "unix", seccomp.Any(unix.SYS_READLINKAT), unix.EIO, "readlink ", "input/output error"},
		{"a directory cannot be read", "unix", seccomp.Any(unix.SYS_GETDENTS64), unix.EIO, "", ""},
		{"another process is quicker", "unix", seccomp.Any(unix.SYS_BIND), unix.EADDRINUSE, "bind: address already in use: another process made a file at ", "meanwhile"},
		{"the directory may not be written", "unix", seccomp.Any(unix.SYS_BIND), unix.EACCES, "bind: permission denied: uid ", "$XDG_RUNTIME_DIR"},
		{"the file system is read-only", "unix", seccomp.Any(unix.SYS_BIND), unix.EROFS, "bind: read-only file system: ", "use a directory such as /run"},
		{"the file system has no sockets", "unix", seccomp.Any(unix.SYS_BIND), unix.EPERM, "bind: operation not permitted: ", "such as a tmpfs"},
		{"another file system has no sockets", "unix", seccomp.Any(unix.SYS_BIND), unix.EOPNOTSUPP, "bind: operation not supported: ", "such as a tmpfs"},
		{"the socket is removed at once", "unix", seccomp.Any(unix.SYS_BIND), 0, "another process removed the socket that was bound there", "no such file or directory"},
		{"there are no hard links", "unix", seccomp.Any(unix.SYS_LINKAT), unix.EPERM, "", ""},
		{"directories may not be made", "unix", seccomp.Any(unix.SYS_MKDIRAT), unix.EACCES, "", ""},
		{"a socket has no mode", "unix", seccomp.Any(unix.SYS_FCHMOD), unix.EINVAL, "fchmod: ", "invalid argument"},
		{"the mode cannot be set", "unix", seccomp.Any(unix.SYS_FCHMOD), 0, "", ""},
		{"the file system ignores modes", "unix", seccomp.Any(unix.SYS_FCHMODAT2), 0, "the file system of ", "such as a tmpfs"},
		{"owners cannot be set", "unix", seccomp.Any(unix.SYS_FCHOWNAT), unix.EPERM, "", ""},
		{"the table of sockets does not answer", "unix", seccomp.Any(unix.SYS_SENDTO), 0, "", ""},
		{"lists cannot be found", "unix", seccomp.Any(unix.SYS_GETXATTR), unix.EIO, "has an access control list: ", "input/output error"},
		{"a file system has no lists", "unix", seccomp.Any(unix.SYS_GETXATTR), unix.EOPNOTSUPP, "", ""},
		{"no list can be removed", "unix", seccomp.Any(unix.SYS_REMOVEXATTR), unix.EOPNOTSUPP, "", ""},
		{"there are no locks", "unix", seccomp.Any(unix.SYS_FLOCK), unix.ENOLCK, "", ""},
		{"the socket has no type", "unix", seccomp.Option(unix.SO_TYPE), unix.EPERM, "getsockopt: ", "operation not permitted"},
		{"it cannot listen", "unix", seccomp.Any(unix.SYS_LISTEN), unix.EOPNOTSUPP, "listen: ", "operation not supported"},
		{"there is no socket", "unix", seccomp.Call{Number: unix.SYS_SOCKET, Argument: 1, Value: unix.SOCK_STREAM | unix.SOCK_CLOEXEC}, unix.EMFILE, "socket: ", "too many open files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := openDirectory(t) // with a path that is short, as a socket's must be
			mine, link := filepath.Join(dir, "mine"), filepath.Join(dir, "link")
			if err := errors.Join(os.Mkdir(mine, 0o700), os.Symlink("mine", link)); err != nil {
				t.Fatal(err)
			}
			var got forgedEntry
			r := role{Do: "listen", Network: test.network, Address: filepath.Join(link, "s"), Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{test.errno}}
			helper := reexec.Start(t, r)
			helper.Decode(&got)
			helper.Finish()
			if (got.Err == "") != (test.says == "") || !strings.Contains(got.Err, test.says) || !strings.HasSuffix(got.Err, test.ends) {
				t.Errorf("%q, want %q and %q", got.Err, test.says, test.ends)
			}
			assertEmpty(t, mine)
		})
	}
}

// Before Linux 6.6 there is no fchmodat2(2), and the umask removes bits of the mode.
func TestListenWithoutFchmodat2(t *testing.T) {
	seccomp.Need(t)
	fchmodat, fchmodat2 := seccomp.Any(unix.SYS_FCHMODAT), seccomp.Any(unix.SYS_FCHMODAT2)
	for _, test := range []struct {
		calls []seccomp.Call
		errno syscall.Errno
		mode  uint32
		want  string
	}{
		{[]seccomp.Call{fchmodat2}, unix.ENOSYS, 0o660, ""},
		{[]seccomp.Call{fchmodat2, fchmodat}, unix.EPERM, 0o660, "/s to 0660: operation not permitted"},
		{[]seccomp.Call{fchmodat2, fchmodat}, unix.EPERM, 0o600, ""}, // which needs neither
	} {
		path := stalePath(t)
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: path, Umask: 0o077, Mode: test.mode,
			Calls: test.calls, Errnos: []syscall.Errno{test.errno}})
		helper.Decode(&got) // helperListen compares the mode
		helper.Finish()
		if (got.Err == "") != (test.want == "") || !strings.HasSuffix(got.Err, test.want) {
			t.Errorf("mode %#o: %q, want %q", test.mode, got.Err, test.want)
		}
		assertEmpty(t, filepath.Dir(path))
	}
}

// A socket file that cannot be looked at is neither used nor replaced.
func TestSocketFileThatCannotBeLookedAt(t *testing.T) {
	seccomp.Need(t)
	open := seccomp.Call{Number: unix.SYS_OPENAT, Argument: 2, Value: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_LARGEFILE}
	probe := seccomp.Call{Number: unix.SYS_SOCKET, Argument: 1, Value: unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}
	for _, test := range []struct {
		name, path string
		call       seccomp.Call
		want       string // before the errno
	}{
		{"a new one", filepath.Join(t.TempDir(), "s"), open, "/s: "},
		{"a stale one", stalePath(t), open, "/s: "},
		{"a stale one, without a probe", stalePath(t), probe, ": socket: "},
	} {
		var got forgedEntry
		helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: test.path, Calls: []seccomp.Call{test.call}, Errnos: []syscall.Errno{unix.EMFILE}})
		helper.Decode(&got)
		helper.Finish()
		if want := test.want + "too many open files"; !strings.HasSuffix(got.Err, want) {
			t.Errorf("%s: %q, want %q", test.name, got.Err, want)
		}
		if _, err := os.Lstat(test.path); err != nil {
			t.Errorf("%s: %v, want that it stays", test.name, err)
		}
	}
}

// A listener that cannot watch the processes of its peers is closed, and its file removed.
func TestListenWherePeersCannotBeWatched(t *testing.T) {
	needProcess(t)
	seccomp.Need(t)
	dir := openDirectory(t)
	var got forgedEntry
	helper := reexec.Start(t, role{Do: "listen", Network: "unix", Address: filepath.Join(dir, "s"), CloseOnExit: true,
		Calls: []seccomp.Call{seccomp.Any(unix.SYS_EPOLL_CREATE1)}, Errnos: []syscall.Errno{unix.EMFILE}})
	helper.Decode(&got)
	helper.Finish()
	if want := "epoll_create1: too many open files"; !strings.HasSuffix(got.Err, want) {
		t.Errorf("%q, want %q", got.Err, want)
	}
	assertEmpty(t, dir)
}

// A listener that Listen does not return is closed.
func TestFailedListenLeavesNothingOpen(t *testing.T) {
	path, locked := filepath.Join(t.TempDir(), "s"), stalePath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(filepath.Dir(locked))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := tryLock(lock); err != nil {
		t.Fatal(err)
	}
	// A link of /proc to a directory that is gone has a text that can be another's name.
	gone := filepath.Join(t.TempDir(), "d")
	if err := errors.Join(os.Mkdir(gone, 0o700), os.Mkdir(gone+" (deleted)", 0o700)); err != nil {
		t.Fatal(err)
	}
	directory, err := os.Open(gone)
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for path, want := range map[string]string{
		path:   "address already in use",
		locked: "context canceled",
		fmt.Sprintf("/proc/self/fd/%d/s", directory.Fd()): "use a path without such links",
	} {
		before := descriptors(t)
		if listener, err := Listen(cancelled, "unix", path, Config{Policy: Nobody()}); listener != nil || err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Listen = %v, %v, want %q", listener, err, want)
		}
		if after := descriptors(t); after > before { // fewer, if those of another test were collected
			t.Errorf("%s: %d descriptors are open, and were %d", want, after, before)
		}
	}
}
