//go:build unix && (cgo || (!android && !ios))

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The socket file is as the flags say.
func TestFileFlags(t *testing.T) {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	us := strconv.Itoa(os.Getegid())
	for _, test := range []struct {
		args     []string
		mode     fs.FileMode
		uid, gid uint32
		root     bool
	}{
		{nil, 0o600, uid, gid, false},
		{[]string{"--mode", "660"}, 0o660, uid, gid, false},
		{[]string{"--mode", "0640"}, 0o640, uid, gid, false},
		{[]string{"--mode", "0o604"}, 0o604, uid, gid, false},
		{[]string{"--group", us}, 0o660, uid, gid, false},
		{[]string{"--group", us, "--mode", "600"}, 0o600, uid, gid, false},
		{[]string{"--group", "4242"}, 0o660, uid, 4242, true},
		{[]string{"--owner", "4343"}, 0o600, 4343, gid, true},
		{[]string{"--owner", "4343", "--group", "4242", "--mode", "620"}, 0o620, 4343, 4242, true},
	} {
		if test.root && os.Geteuid() != 0 {
			t.Logf("listen %q is left out: to give a file away takes root", test.args)
			continue
		}
		path := filepath.Join(t.TempDir(), "s")
		startListener(t, append([]string{path}, test.args...)...)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != test.mode || stat.Uid != test.uid || stat.Gid != test.gid {
			t.Errorf("listen %q made a file of mode %v, uid %d, gid %d; want %v, %d, %d", test.args, info.Mode().Perm(), stat.Uid, stat.Gid, test.mode, test.uid, test.gid)
		}
	}
}

func TestAllowSharedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	want := dir + " can be written by others"
	if code, _, stderr := runArgs("listen", path); code != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, "(--allow-shared-directory allows it") {
		t.Errorf("in a directory of mode 0777: exit %d, %s; want 1, %q and the flag", code, stderr, want)
	}
	startListener(t, "--allow-shared-directory", path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
