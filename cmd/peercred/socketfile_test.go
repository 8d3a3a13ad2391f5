//go:build unix && (cgo || (!android && !ios))

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func withUmask(t *testing.T, mask int) {
	t.Helper()
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

func TestSocketFileMode(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o666, 0o777} {
			t.Run(fmt.Sprintf("umask %03o mode %03o", mask, mode), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "s")
				withUmask(t, mask)
				listener, err := listenAtPath(path, mode)
				if mask == 0o777 && os.Geteuid() != 0 {
					if err == nil {
						t.Error("no error, though the umask takes our own directory away from us")
					}
					return
				}
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

// The socket file never exists with wider permissions than asked for, under any
// name that others can reach: a watcher that looks all the time sees the mode
// asked for, and a directory that nobody else can enter.
func TestSocketFileIsNeverWider(t *testing.T) {
	const rounds, mode = 1000, 0o600
	withUmask(t, 0)
	dir := t.TempDir()
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
		case info.Mode() != fs.ModeDir|0o700:
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
		listener, err := listenAtPath(path, mode)
		if err != nil {
			t.Fatal(err)
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

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	listener, err := listenAtPath(path, 0o600)
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

// What is not a stale socket stays, and stays what it is.
func TestOthersAreLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(path string) (undo func(), err error)
		want string
	}{
		{"a live socket", func(path string) (func(), error) {
			l, err := net.Listen("unix", path)
			return func() { l.Close() }, err
		}, "somebody listens"},
		{"a live seqpacket socket", func(path string) (func(), error) {
			l, err := net.Listen("unixpacket", path)
			return func() { l.Close() }, err
		}, "could not be found out"},
		{"a live datagram socket", func(path string) (func(), error) {
			l, err := net.ListenPacket("unixgram", path)
			return func() { l.Close() }, err
		}, "could not be found out"},
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
			undo, err := test.make(path)
			if errors.Is(err, unix.EPROTONOSUPPORT) {
				t.Skipf("this system has no such socket: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer undo()
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			listener, err := listenAtPath(path, 0o600)
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

// Close removes the file that listenAtPath made, not one that took its place.
func TestCloseLeavesAStrangersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := listenAtPath(path, 0o600)
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
