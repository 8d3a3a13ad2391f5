//go:build unix

package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ours are the attributes of a socket file that is ours.
func ours(mode fs.FileMode) socketAttributes {
	return socketAttributes{mode: mode, uid: os.Geteuid(), gid: os.Getegid()}
}

func listenWithMode(path string, mode fs.FileMode) (*socketFile, error) {
	return listenAtPath(context.Background(), "unix", path, ours(mode))
}

func withUmask(t *testing.T, mask int) {
	t.Helper()
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

func TestSocketFileMode(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o111, 0o177, 0o777} {
		for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o666, 0o777} {
			t.Run(fmt.Sprintf("umask %03o mode %03o", mask, mode), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "s")
				withUmask(t, mask)
				listener, err := listenWithMode(path, mode)
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				info, err := os.Lstat(path)
				if err != nil || info.Mode() != fs.ModeSocket|mode {
					t.Errorf("%v, %v, want a socket with mode %v", info.Mode(), err, mode)
				}
			})
		}
	}
}

// No file ever has wider permissions than the configured ones. A watcher that looks all the
// time sees only the configured mode.
func TestSocketFileIsNeverWider(t *testing.T) {
	if !canVerify {
		t.Skip("this system takes the mode after bind(2): nobody can connect before listen(2)")
	}
	const rounds, mode = 1000, 0o600
	dir := t.TempDir()
	withUmask(t, 0)
	path := filepath.Join(dir, "s")
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	sights := 0
	look := func(path string) {
		switch info, err := os.Lstat(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			t.Error(err)
		case info.Mode() == fs.ModeSocket|mode:
			sights++
		default:
			t.Errorf("%s was there with mode %v", path, info.Mode())
		}
	}
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			look(path)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Error(err)
				return
			}
			for _, entry := range entries {
				look(filepath.Join(dir, entry.Name()))
			}
		}
	})
	for range rounds {
		listener, err := listenWithMode(path, mode)
		if err != nil {
			t.Error(err) // and not Fatal: the watcher is still looking
			break
		}
		listener.Close()
	}
	close(stop)
	watcher.Wait()
	if sights == 0 {
		t.Error("the watcher never saw the socket, so it proves nothing")
	}
	assertEmpty(t, dir)
}

// Without a configured mode only we can connect.
func TestSocketFileModeUnasked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v, want a socket with mode 0600", info.Mode(), err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := stalePath(t)
	listener, err := listenWithMode(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	listener.Close()
	assertEmpty(t, filepath.Dir(path))
}

// maker makes something at path, and undo removes it.
type maker func(path string) (undo func(), err error)

// place makes something at path, and removes it when the test ends.
func place(t *testing.T, path string, it maker) fs.FileInfo {
	t.Helper()
	undo, err := it(path)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skipf("this system has no such socket: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// serve makes a live socket.
func serve(path string) (undo func(), err error) {
	l, err := net.Listen("unix", path)
	return func() { l.Close() }, err
}

// A file that is not a stale socket file stays as it is.
func TestOthersAreLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		make maker
		want string
	}{
		{"a live socket", serve, "stop it, or use another path"},
		{"a live seqpacket socket", func(path string) (func(), error) {
			l, err := net.Listen("unixpacket", path)
			return func() { l.Close() }, err
		}, "stop it, or use another path"},
		{"a socket that does not listen yet", func(path string) (func(), error) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return nil, err
			}
			return func() { unix.Close(fd) }, unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}, "stop it, or use another path"},
		{"a busy socket", func(path string) (func(), error) {
			return fillQueue(t, path)
		}, "stop it, or use another path"},
		{"a live datagram socket", func(path string) (func(), error) {
			l, err := net.ListenPacket("unixgram", path)
			return func() { l.Close() }, err
		}, "datagram socket"},
		{"a regular file", func(path string) (func(), error) {
			return func() {}, os.WriteFile(path, nil, 0o600)
		}, "not a socket"},
		{"a directory", func(path string) (func(), error) {
			return func() {}, os.Mkdir(path, 0o700)
		}, "not a socket"},
		{"a dangling link", func(path string) (func(), error) {
			return func() {}, os.Symlink("nowhere", path)
		}, "not a socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			before := place(t, path, test.make)
			listener, err := listenWithMode(path, 0o600)
			if err == nil {
				listener.Close()
				t.Fatal("it was replaced")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error that says %q", err, test.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there is gone: %v, %v", after, err)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("the directory holds %v, %v, want what was there", entries, err)
			}
		})
	}
}

// fillQueue listens on path with a full queue.
func fillQueue(t *testing.T, path string) (undo func(), err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	address := &unix.SockaddrUnix{Name: path}
	if err := errors.Join(unix.Bind(fd, address), unix.Listen(fd, 0)); err != nil {
		return nil, err
	}
	var clients []int
	for err == nil {
		client, socketErr := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if socketErr != nil || len(clients) > 1000 {
			t.Fatalf("after %d clients: %v", len(clients), socketErr)
		}
		clients = append(clients, client)
		err = errors.Join(unix.SetNonblock(client, true), unix.Connect(client, address))
	}
	return func() {
		unix.Close(fd)
		for _, client := range clients {
			unix.Close(client)
		}
	}, nil
}

// Only the file that was found stale is removed.
func TestReplacedMeanwhile(t *testing.T) {
	for _, test := range []struct {
		name string
		make maker
	}{
		{"by a file", func(path string) (func(), error) {
			return func() {}, os.WriteFile(path, []byte("precious"), 0o600)
		}},
		{"by a live socket", serve},
		{"by a directory", func(path string) (func(), error) {
			return func() {}, os.Mkdir(path, 0o700)
		}},
		{"by nothing", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := stalePath(t)
			at := openAt(t, path)
			stale, err := at.stat()
			if err != nil {
				t.Fatal(err)
			}
			kept := path + ".kept" // so that its inode number is not reused
			if err := os.Rename(path, kept); err != nil {
				t.Fatal(err)
			}
			var before fs.FileInfo
			if test.make != nil {
				before = place(t, path, test.make)
			}
			if err := at.remove(idOfFile(stale)); err != nil {
				t.Error(err)
			}
			if after, err := os.Lstat(path); test.make != nil && (err != nil || !os.SameFile(before, after)) {
				t.Errorf("what took its place is gone: %v", err)
			}
		})
	}
}

// A file that cannot be removed, or not be looked at, is an error.
func TestRemoveFails(t *testing.T) {
	dir := t.TempDir()
	at := openAt(t, dir)
	stat, err := at.stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := at.remove(idOfFile(stat)); err == nil || !strings.HasPrefix(err.Error(), "remove "+dir+": ") {
		t.Errorf("a directory: %v, want an error", err)
	}
	at.close()
	if err := at.remove(idOfFile(stat)); !errors.Is(err, unix.EBADF) {
		t.Errorf("in a directory that was closed: %v, want EBADF", err)
	}
}

func openAt(t *testing.T, path string) *socketPath {
	t.Helper()
	at, err := openSocketPath(path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.close)
	return at
}

// If there is no file, none is replaced.
func TestNothingToReplace(t *testing.T) {
	dir := t.TempDir()
	file, none := filepath.Join(dir, "f"), filepath.Join(dir, "none")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := newSocket("unix", ours(0o600))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := openAt(t, none).replaceStale(t.Context(), socket); err != nil {
		t.Errorf("replacing a file that is gone: %v, want that it binds", err)
	}
	another, err := newSocket("unix", ours(0o600))
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	stale := stalePath(t)
	at := openAt(t, stale)
	at.path = none + "2" // as if the file had gone between open and bind
	if err := at.replaceStale(t.Context(), another); err != nil {
		t.Errorf("to replace what goes away meanwhile: %v, want that it binds", err)
	}
	if _, err := os.Lstat(stale); err != nil {
		t.Errorf("it bound without need to remove a file, and did: %v", err)
	}
	if listener, err := Listen(t.Context(), "unix", file+"/s", Config{Policy: Nobody()}); listener != nil || !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Listen below a file = %v, %v, want ENOTDIR", listener, err)
	}
}

// The socket file that was bound gets the attributes. Another file that has its name by now
// is neither changed nor removed.
func TestReplacedAfterBind(t *testing.T) {
	for _, test := range []struct {
		name string
		make maker
		want string
	}{
		{"by a file", func(path string) (func(), error) { return func() {}, os.WriteFile(path, nil, 0o600) }, "another user replaced it"},
		{"by a link", func(path string) (func(), error) { return func() {}, os.Symlink("victim", path) }, "another user replaced it"},
		{"by nothing", nil, "another process removed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path, victim := filepath.Join(dir, "s"), filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			at := openAt(t, path)
			socket := bindAt(t, at, ours(0o600))
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if test.make != nil {
				place(t, path, test.make)
			}
			unbound, err := newSocket("unix", ours(0o666))
			if err != nil {
				t.Fatal(err)
			}
			defer unbound.Close()
			for _, socket := range []*os.File{socket, unbound} { // of which the kernel tells no file
				if _, err := at.settle(socket, ours(0o666)); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want an error that says %q", err, test.want)
				}
			}
			if _, err := os.Lstat(path); (err == nil) != (test.make != nil) {
				t.Errorf("what took its place: %v", err)
			}
			if info, err := os.Lstat(victim); err != nil || info.Mode() != 0o600 {
				t.Errorf("the victim has the mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// bindAt binds a new socket.
func bindAt(t *testing.T, at *socketPath, want socketAttributes) *os.File {
	t.Helper()
	socket, err := newSocket("unix", want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if err := at.tryBind(socket); err != nil {
		t.Fatal(err)
	}
	return socket
}

// A directory in which others can rename what we make is refused.
func TestParentOfOthers(t *testing.T) {
	for _, test := range []struct {
		mode fs.FileMode
		uid  int
		gid  int
		ok   bool
	}{
		{0o755, os.Geteuid(), os.Getegid(), true},
		{0o775, os.Geteuid(), os.Getegid(), false},
		{0o777 | fs.ModeSticky, os.Geteuid(), os.Getegid(), true},
		{0o777, os.Geteuid(), os.Getegid(), false},
		{0o707, os.Geteuid(), os.Getegid(), false},
		{0o705, os.Geteuid(), os.Getegid(), true},
		{0o775, os.Geteuid(), 4242, false},
		{0o755, 4242, os.Getegid(), false},
		{0o777 | fs.ModeSticky, 4242, os.Getegid(), false},
	} {
		t.Run(fmt.Sprintf("%v uid %d gid %d", test.mode, test.uid, test.gid), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chown(dir, test.uid, test.gid); err != nil {
				t.Skipf("needs root, for a directory of somebody else: %v", err)
			}
			if err := os.Chmod(dir, test.mode); err != nil {
				t.Fatal(err)
			}
			listener, err := listenWithMode(filepath.Join(dir, "s"), 0o600)
			if err == nil {
				listener.Close()
			}
			if (err == nil) != test.ok || err != nil && !strings.Contains(err.Error(), "directory of your own") {
				t.Errorf("%v, want it to be taken: %v", err, test.ok)
			}
			assertEmpty(t, dir)
		})
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	others := t.TempDir()
	file, linkToFile := filepath.Join(others, "file"), filepath.Join(others, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, linkToFile)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		network, address string
		config           Config
		want             string
	}{
		{"unix", "", Config{Policy: Nobody()}, "empty"},
		{"unix", "@", Config{Policy: Nobody()}, "empty"},
		{"unix", long, Config{Policy: Nobody()}, "has at most"},
		{"unix", strings.Repeat("/", maxPath-2) + "tmp/s", Config{Policy: Nobody()}, "has at most"},
		{"unix", strings.Repeat("/", maxPath-4) + "tmp/s", Config{Policy: Nobody()}, "has at most"},
		{"unix", filepath.Dir(long) + "/", Config{Policy: Nobody()}, "names a directory"},
		{"unix", "s\x00x", Config{Policy: Nobody()}, "NUL byte"},
		{"unix", "\x00s", Config{Policy: Nobody()}, "NUL byte"},
		{"unix", filepath.Join(filepath.Dir(long), "no/s"), Config{Policy: Nobody()}, "does not exist: make it first"},
		{"unix", filepath.Join(filepath.Dir(long), "no/s"), Config{Policy: Nobody(), AllowSharedDirectory: true}, "does not exist: make it first"},
		{"unixgram", long, Config{Policy: Nobody()}, "unknown network unixgram"},
		{"unix", "s", Config{Policy: Nobody(), Mode: fs.ModeSetuid | 0o600}, "the mode 0o40000600 has more than permission bits: use a number such as 0o660"},
		{"unix", "s", Config{Policy: Nobody(), Mode: 660}, "the mode 660 has more than permission bits: write 0o660"},
		{"unix", "s", Config{Policy: Nobody(), Mode: 777}, "the mode 777 has more than permission bits: write 0o777"},
		{"unix", "s", Config{Policy: Nobody(), Mode: 1666}, "the mode 0o3202 has more than permission bits: use a number such as 0o660"},
		{"unix", "s", Config{Policy: Nobody(), Owner: "no such user"}, `: Config.Owner: unknown user "no such user"`},
		{"unix", "s", Config{Policy: Nobody(), Group: "no such group"}, `: Config.Group: unknown group "no such group"`},
		{"unix", filepath.Join(file, "s"), Config{Policy: Nobody()}, file + " is not a directory, and the socket cannot be in it: use another path: not a directory"},
		{"unix", filepath.Join(file, "dir/s"), Config{Policy: Nobody(), AllowSharedDirectory: true}, file + " is not a directory"},
		{"unix", filepath.Join(linkToFile, "s"), Config{Policy: Nobody()}, file + " is not a directory"},
		{"unix", "s", Config{Policy: Nobody(), Owner: "4294967295"}, "unknown user"},
		{"unix", "s", Config{Policy: Nobody(), Owner: "010"}, `the id "010" has needless zeros: write "10" for decimal 10`},
		{"unix", "s", Config{Policy: Nobody(), Group: "010"}, `the id "010" has needless zeros: write "10" for decimal 10`},
	} {
		listener, err := Listen(context.Background(), test.network, test.address, test.config)
		if err == nil {
			listener.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %q: %v, want an error that says %q", test.network, test.address, err, test.want)
		}
	}
	assertEmpty(t, filepath.Dir(long))
}

// A path can be as long as bind(2) allows, and a client finds the socket there.
func TestLongestPath(t *testing.T) {
	dir := t.TempDir()
	longest := maxPath
	if isLinux {
		longest = 107 // as Listen documents
	}
	slashes := longest - len(dir+"/s")
	for longer, want := range map[int]string{0: "", 1: "has at most"} {
		path := strings.Repeat("/", slashes+longer) + dir + "/s"
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes too long: %v, want %q", longer, err, want)
		}
		if err != nil {
			continue
		}
		dialPlain(t, listener)
		if got := acceptPeer(t, listener).LocalAddr().String(); got != path {
			t.Errorf("the server's address is %q, want %q", got, path)
		}
		listener.Close()
	}
}

// A probe for a server does not reach the server as a client.
func TestProbeIsNoVisitor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = Listen(context.Background(), "unix", path, Config{Policy: Nobody()})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("the second listener: %v, want EADDRINUSE", err)
	}
	raw, err := first.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var accepted error
	if err := raw.Control(func(fd uintptr) { _, _, accepted = unix.Accept(int(fd)) }); err != nil || accepted != unix.EAGAIN {
		t.Errorf("the first listener accepts: %v, %v, want EAGAIN, since nobody came", accepted, err)
	}
}

// It is no error if the file is gone already.
func TestCloseWithoutTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(context.Background(), "unix", path, Config{Policy: Nobody()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// Close removes the file that listenAtPath made, not one that took its place.
func TestCloseLeavesAStrangersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(context.Background(), "unix", path, Config{Policy: Nobody()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	stranger, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if err := listener.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the stranger's file: %v", err)
	}
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s holds %v, %v, want nothing", dir, entries, err)
	}
}

// stalePath returns the path of a stale socket file.
func stalePath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	return path
}

// Only one call at a time replaces a stale file. The other waits until its context ends. A
// process that only holds the lock cannot prevent us from listening.
func TestReplacingIsLocked(t *testing.T) {
	path := stalePath(t)
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	unlock, err := lockDirectory(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	var stat, locked unix.Stat_t
	if err := unix.Fstat(int(directory.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	for fd := range 100 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && unix.Fstat(fd, &locked) == nil && idOfFile(&locked) == idOfFile(&stat) {
			t.Errorf("a child would have descriptor %d, and so the lock", fd)
		}
	}
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if listener, err := Listen(cancelled, "unix", path, Config{Policy: Nobody()}); listener != nil || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("Listen = %v, %v, want context.Canceled and why", listener, err)
	}
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced: %v", err)
	}
	if listener, err := Listen(cancelled, "unix", path+"2", Config{Policy: Nobody()}); err != nil {
		t.Errorf("where there is nothing to replace: %v, want no wait for the lock", err)
	} else {
		listener.Close()
	}
	patient := longestLock
	longestLock = time.Millisecond
	t.Cleanup(func() { longestLock = patient })
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: Nobody()})
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	assertEmpty(t, filepath.Dir(path))
}

// The directories that lead to a socket file must not belong to other users either.
func TestAncestorsOfOthers(t *testing.T) {
	base := t.TempDir()
	shared, mine := filepath.Join(base, "shared"), filepath.Join(base, "mine")
	for _, dir := range []string{shared, filepath.Join(shared, "mine"), mine} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(shared, 0o777), os.Symlink(mine, filepath.Join(shared, "link")), os.Symlink(mine, filepath.Join(base, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path string
		ok   bool
	}{
		{filepath.Join(mine, "s"), true},
		{filepath.Join(base, "link", "s"), true},
		{filepath.Join(shared, "mine", "s"), false},
		{filepath.Join(shared, "link", "s"), false},        // which others can lead elsewhere
		{filepath.Join(mine) + "/../shared/mine/s", false}, // as the kernel reads it
		{filepath.Join(base, "link") + "/../mine/s", true}, // likewise
	} {
		for _, allow := range []bool{false, true} {
			listener, err := Listen(t.Context(), "unix", test.path, Config{Policy: Nobody(), AllowSharedDirectory: allow})
			if err == nil {
				listener.Close()
			}
			if (err == nil) != test.ok || err != nil && !strings.Contains(err.Error(), shared+" can be written by others") {
				t.Errorf("%s: %v, want it to be taken: %v", test.path, err, test.ok)
			}
			if err != nil && strings.Contains(err.Error(), "AllowSharedDirectory") == allow {
				t.Errorf("%s: %v, want AllowSharedDirectory only if it is not set (it is: %v)", test.path, err, allow)
			}
		}
	}
}

// A relative path leads to the same file even if the working directory changes meanwhile.
func TestRelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	listener, err := Listen(t.Context(), "unix", "s", Config{Policy: Nobody()})
	if err != nil {
		t.Fatal(err)
	}
	if got := listener.Addr().String(); got != "s" {
		t.Errorf("Addr is %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "s")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	assertEmpty(t, dir)
}

// A relative path is an error if the working directory was removed.
func TestRelativePathInADirectoryThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Skipf("this system keeps the directory that we are in: %v", err)
	}
	if listener, err := Listen(t.Context(), "unix", "s", Config{Policy: Nobody()}); listener != nil || err == nil || !strings.Contains(err.Error(), "getwd") {
		t.Errorf("Listen = %v, %v, want an error about the working directory", listener, err)
	}
}

// A directory that others can write to is accepted only if the config allows it.
func TestAllowSharedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, allow := range []bool{false, true} {
		listener, err := Listen(t.Context(), "unix", filepath.Join(dir, "s"), Config{Policy: Nobody(), AllowSharedDirectory: allow})
		if (err == nil) != allow || err != nil && !strings.Contains(err.Error(), "AllowSharedDirectory") {
			t.Errorf("allowed %v: %v", allow, err)
		}
		if err == nil {
			listener.Close()
		}
	}
	assertEmpty(t, dir)
}

// After SetUnlinkOnClose(false) the file stays after Close, and is stale.
func TestSetUnlinkOnClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := listenWithMode(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	at := openAt(t, path)
	inode, err := at.open()
	if err != nil {
		t.Fatal(err)
	}
	defer inode.close()
	stat, err := inode.stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := at.checkStale(inode, stat); err != nil {
		t.Errorf("the file is not stale: %v", err)
	}
}
