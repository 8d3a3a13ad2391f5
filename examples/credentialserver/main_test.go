//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	socket, good, bad := filepath.Join(dir, "s"), filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	writeFile(t, good, "{}", 0o600)
	writeFile(t, bad, "{", 0o600)
	taken := filepath.Join(dir, "taken")
	listener, err := net.Listen("unix", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	shared := listenInSharedDirectory(t)
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // what they contain; nothing at all if empty
	}{
		{"--help", 0, "Exit status", ""},
		{"-h", 0, "-rules FILE", ""},
		{"", 2, "", "missing --socket: give the path"},
		{"--socket " + socket, 2, "", "missing --rules: give the file"},
		{"--socket " + socket, 2, "", `Run "credentialserver --help"`},
		{"--rules " + good, 2, "", "missing --socket"},
		{"--steal", 2, "", "-steal"},
		{"--socket " + socket + " --rules " + good + " extra", 2, "", `unexpected argument "extra"`},
		{"--socket " + socket + " --rules " + good + " --mode rw", 2, "", "octal"},
		{"--socket " + socket + " --rules " + good + " --mode 0", 2, "", "octal"},
		{"--socket " + socket + " --rules " + good + " --mode 1777", 2, "", "octal"},
		{"--socket " + socket + " --rules " + socket, 1, "", "no such file"},
		{"--socket " + socket + " --rules " + bad, 1, "", bad + ": unexpected"},
		{"--socket " + socket + " --rules " + good + " --group no-such-name-here", 1, "", `unknown group "no-such-name-here"`},
		{"--socket " + socket + " --rules " + good + " --owner no-such-name-here", 1, "", `unknown user "no-such-name-here"`},
		{"--socket " + shared + " --rules " + good, 1, "", filepath.Dir(shared)},
		{"--socket " + shared + " --rules " + good + " --allow-shared-directory", 1, "", "another process listens on"},
		{"--socket " + taken + " --rules " + good, 1, "", "another process listens on"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), nil, strings.Fields(test.args), &stdout, &stderr)
		if code != test.code || !contains(stdout.String(), test.stdout) || !contains(stderr.String(), test.stderr) {
			t.Errorf("credentialserver %s: exit %d, stdout %q, stderr %q; want %d, %q, %q", test.args, code, &stdout, &stderr, test.code, test.stdout, test.stderr)
		}
	}
}

// listenInSharedDirectory listens where everybody can replace the socket file.
func listenInSharedDirectory(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return path
}

func contains(text, want string) bool {
	return want == "" && text == "" || want != "" && strings.Contains(text, want)
}

func TestSocketMode(t *testing.T) {
	for _, test := range []struct {
		args []string
		want os.FileMode
	}{
		{nil, 0o666},
		{[]string{"--mode", "0640"}, 0o640},
		{[]string{"--mode", "777"}, 0o777},
		{[]string{"--mode", "1"}, 0o001},
		{[]string{"--mode", "0o660"}, 0o660},
		{[]string{"--group", "daemon"}, 0o660},
		{[]string{"--group", "daemon", "--mode", "666"}, 0o666},
	} {
		s, err := parseArgs(append([]string{"--socket", "s", "--rules", "r"}, test.args...), nil)
		if err != nil || s.mode != test.want {
			t.Errorf("%q: mode %v, %v; want %v", test.args, s.mode, err, test.want)
		}
	}
	s := startServer(t, "{}")
	info, err := os.Stat(s.socket)
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket has mode %v (%v), want 0666", info.Mode(), err)
	}
}
