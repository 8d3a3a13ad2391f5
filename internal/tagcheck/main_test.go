//go:build cgo || (!android && !ios)

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTagName(t *testing.T) {
	for tag, want := range map[string]bool{
		"v0.1.0":                   true,
		"v1.0.0":                   true,
		"v1.20.300":                true,
		"v1.0.0-rc.1":              true,
		"v1.0.0-0-a.B":             true,
		"grpcpeer/v1.0.0":          true,
		"grpcpeer/v1.0.0-rc.1":     true,
		"":                         false,
		"v":                        false,
		"vNext":                    false,
		"v1":                       false,
		"v1.0":                     false,
		"v1.0.0.0":                 false,
		"1.0.0":                    false,
		"v01.0.0":                  false,
		"v1.00.0":                  false,
		"v1.0.0-":                  false,
		"v1.0.0-a..b":              false,
		"v1.0.0+meta":              false,
		"v1.0.0 ":                  false,
		"v1.0.0\n":                 false,
		"v1.0.0\nv1.0.0":           false,
		"xv1.0.0":                  false,
		"grpcpeer/v1":              false,
		"grpcpeer/vNext":           false,
		"benchmarks/v1.0.0":        false,
		"grpcpeer/grpcpeer/v1.0.0": false,
		"grpcpeer/":                false,
	} {
		if got := tagName.MatchString(tag); got != want {
			t.Errorf("%q may be a tag: %v, want %v", tag, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skipf("needs git: %v", err)
	}
	for variable, value := range map[string]string{
		"GOWORK": "off", "GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1",
		"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
	} {
		t.Setenv(variable, value)
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		if _, err := in(dir, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	// Three commits, each a branch: main has what grpcpeer calls of the root, the one
	// before it has not, and one that is on its way is not on origin's main.
	commit := func(branch string, files map[string]string) {
		t.Helper()
		git("checkout", "-q", "-b", branch)
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "-A")
		git("commit", "-q", "-m", branch)
	}
	git("init", "-q")
	commit("before", map[string]string{
		"go.mod":          "module example.com/root\n\ngo 1.26.0\n",
		"root.go":         "package root\n",
		"grpcpeer/go.mod": "module example.com/root/grpcpeer\n\ngo 1.26.0\n\nrequire example.com/root v1.0.0\n\nreplace example.com/root => ../\n",
	})
	commit("main", map[string]string{
		"root.go":              "package root\n\nconst Called = 1\n",
		"grpcpeer/grpcpeer.go": "package grpcpeer\n\nimport \"example.com/root\"\n\nconst calls = root.Called\n",
	})
	commit("aside", map[string]string{"aside.go": "package root\n"})
	git("update-ref", "refs/remotes/origin/main", "main")

	for _, test := range []struct {
		name string
		head string
		root string // the branch that v1.0.0 is a tag of, if there is that tag
		tag  string
		want string // what the error contains; none if empty
	}{
		{"the first", "main", "", "v1.0.0", ""},
		{"an earlier commit of main", "before", "", "v0.9.0", ""},
		{"no version", "main", "", "vNext", "neither"},
		{"not on main", "aside", "", "v1.0.0", "HEAD is not on origin/main"},
		{"already HEAD's", "main", "main", "v1.0.0", ""},
		{"already another's", "main", "before", "v1.0.0", "another commit's"},
		{"another major version", "main", "", "v2.0.0", "does not end in /v2"},
		{"grpcpeer with a root of the same commit", "main", "main", "grpcpeer/v1.0.0", ""},
		{"grpcpeer with no root", "main", "", "grpcpeer/v1.0.0", "which is no tag"},
		{"grpcpeer with a root that is not on main", "main", "aside", "grpcpeer/v1.0.0", "not of HEAD or before it"},
		{"grpcpeer with a root that lacks what it calls", "main", "before", "grpcpeer/v1.0.0", "undefined: root.Called"},
		{"grpcpeer with another major version", "main", "main", "grpcpeer/v2.0.0", "does not end in /v2"},
	} {
		git("checkout", "-q", "--detach", test.head)
		if test.root != "" {
			git("tag", "-a", "-m", "a release", "v1.0.0", test.root)
		}
		err := check(dir, test.tag)
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if test.root != "" {
			git("tag", "-d", "v1.0.0")
		}
	}
}
