package guard

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// A call on the way to a listener that fails, by a seccomp filter of our own: there is
// none then, and nothing is left of it.

// helperListen listens at Address, while calls are forged if there are any.
func helperListen(r role) error {
	var errno syscall.Errno
	if len(r.Calls) > 0 {
		errno = r.Errnos[0]
		if err := seccomp.Forge(errno, r.Calls...); err != nil {
			return err
		}
	}
	listener, err := Listen(context.Background(), r.Network, r.Address, Config{Policy: Nobody()})
	if err == nil {
		err = listener.Close()
	} else if listener != nil {
		return errors.New("a listener and an error")
	}
	return reexec.Report(forgedEntryOf(errno, err))
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
		{"nobody is told", "unix", seccomp.Option(unix.SO_PEERCRED), unix.ENOPROTOOPT, "peer credentials unavailable on linux: ", "protocol not available"},
		{"the kernel cannot be asked", "unix", seccomp.Option(unix.SO_PEERCRED), unix.EPERM, "peer credentials unavailable on linux: ", "operation not permitted"},
		{"packets cannot be asked for", "unixpacket", packets, unix.EMFILE, "socketpair: ", "too many open files"},
		{"packets cannot be told", "unixpacket", seccomp.Option(unix.SO_TYPE), unix.EPERM, "find out whether the socket listens or is for datagrams: ", "operation not permitted"},
		{"descriptors cannot be refused", "unix", passRights, unix.EPERM, "setsockopt(SO_PASSRIGHTS): ", "operation not permitted"},
		{"the kernel is older", "unix", passRights, unix.ENOPROTOOPT, "", ""},
		{"an emulator knows no such option", "unix", passRights, unix.EINVAL, "", ""},
		{"another emulator knows no such option", "unix", passRights, unix.EOPNOTSUPP, "", ""},
		{"packets are not asked for", "unix", packets, unix.EMFILE, "", ""},
		{"a link cannot be read", "unix", seccomp.Any(unix.SYS_READLINKAT), unix.EIO, "readlink ", "input/output error"},
		{"a directory cannot be read", "unix", seccomp.Any(unix.SYS_GETDENTS64), unix.EIO, "readdirent ", "input/output error"},
		{"somebody is quicker", "unix", seccomp.Any(unix.SYS_LINKAT), unix.EEXIST, "somebody put a file at ", "address already in use"},
		{"there are no hard links", "unix", seccomp.Any(unix.SYS_LINKAT), unix.EPERM, "link ", "operation not permitted"},
		{"the socket is not where it was put", "unix", seccomp.Any(unix.SYS_LINKAT), 0, "lstat ", "no such file or directory"},
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

// A listener that is not handed out is closed.
func TestFailedListenLeavesNothingOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	if listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody()}); listener != nil || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("Listen = %v, %v, want EADDRINUSE", listener, err)
	}
	if after := descriptors(t); after > before { // fewer, if those of another test were collected
		t.Errorf("%d descriptors are open, and were %d", after, before)
	}
}
