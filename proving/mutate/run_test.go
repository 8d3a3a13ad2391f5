//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const policy = `package policy

import "strings"

func Allow(name string, uid int) bool {
	if uid == 0 || name == "root" {
		return true
	}
	switch uid {
	case 7:
		return false
	case 8:
		return strings.HasPrefix(name, "eight")
	}
	for uid > 1000 {
		uid /= 1000
	}
	return uid == 1
}
`

const policyTest = `package policy

import "testing"

func TestAllow(t *testing.T) {
	for uid, want := range map[int]bool{0: true, 1: true, 2: false, 1000: false, 1000000: false} {
		if got := Allow("somebody", uid); got != want {
			t.Errorf("Allow(%d) = %v", uid, got)
		}
	}
}
`

// A test notices some mutants and not others. One never ends.
func TestOutcomes(t *testing.T) {
	t.Chdir(t.TempDir())
	temporary, patience = t.TempDir(), 2*time.Second
	t.Cleanup(func() { patience = 20 * time.Second })
	for name, text := range map[string]string{"go.mod": "module policy\n\ngo 1.26\n", "policy.go": policy, "policy_test.go": policyTest} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := &run{
		subject: &subject{name: "p", module: ".", dir: ".", cgo: "0", tests: []string{"."}},
		options: options{kinds: []string{conditions, statements, constants}, run: regexp.MustCompile("")},
		accepted: map[string]string{
			`p Allow: name == "root" => false`: "nobody asks",
			`p Allow: uid == 1 => true`:        "a hope",
		},
	}
	if err := r.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		killed: {
			`p Allow: 0 => one more`,
			`p Allow: 1 => one more`,
			`p Allow: name == "root" => inverted`,
			`p Allow: uid /= 1000 => removed`,
			`p Allow: uid == 0 => false`,
			`p Allow: uid == 0 => inverted`,
			`p Allow: uid == 0 || name == "root" => false`,
			`p Allow: uid == 0 || name == "root" => true`,
			`p Allow: uid == 1 => false`,
			`p Allow: uid == 1 => inverted`,
			`p Allow: uid > 1000 => boundary`,
		},
		survived: {
			`p Allow: 1000 #2 => one more`,
			`p Allow: 1000 => one more`,
			`p Allow: 8 => one more`,
			`p Allow: case 7 => dropped`,
			`p Allow: uid > 1000 => false`,
		},
		uncompilable: {
			`p Allow: 7 => one more`,     // there is an 8 already
			`p Allow: case 8 => dropped`, // nothing else needs the import
		},
		excused: {`p Allow: name == "root" => false`},
		stale:   {`p Allow: uid == 1 => true`},
	}
	for _, names := range r.results {
		slices.Sort(names)
	}
	if diff := cmp.Diff(want, r.results); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// A program has limits. Its processes end with it, and its folder is removed.
func TestRun(t *testing.T) {
	temporary = t.TempDir()
	p := &program{path: "sh", dir: "."}
	out, err := p.run(t.Context(), 7, "-c", "sleep 1000 & touch $TMPDIR/file; ulimit -v; echo $"+variable)
	if diff := cmp.Diff(strconv.Itoa(memory>>10)+"\n7\n", string(out)); diff != "" || err != nil {
		t.Errorf("error %v, output (-want +got):\n%s", err, diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := p.run(ctx, 0, "-c", "sleep 1000"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a program that does not end: %v", err)
	}
	if left, err := os.ReadDir(temporary); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// One failure can be due to the machine. Each program stands for one with two tests.
func TestKill(t *testing.T) {
	temporary, patience = t.TempDir(), time.Second
	t.Cleanup(func() { patience = 20 * time.Second })
	for _, c := range []struct{ name, script, want string }{
		{"passes", `exit 0`, ""},
		{"fails", `echo "--- FAIL: TestB (0.01s)"; exit 1`, "TestB"},
		{"fails once", `test -e "$0.ran" && exit 0; touch "$0.ran"; echo "--- FAIL: TestB (0.01s)"; exit 1`, ""},
		{"crashes", `echo "=== RUN   TestA"; exit 2`, "a crash in TestA"},
		{"crashes with both tests", `case "$*" in *TestA*TestB*) echo "=== RUN   TestB"; exit 2; esac`, "a crash in TestB"},
		{"never ends", `echo "=== RUN   TestB"; exec sleep 1000`, "TestB"},
		{"does not begin", `exec sleep 1000`, "no test"},
	} {
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		p := &program{path: path, dir: ".", phases: [][]test{{{name: "TestA"}, {name: "TestB"}}}}
		if got, err := p.kill(t.Context(), 1); got != c.want || err != nil {
			t.Errorf("a program that %s: killed by %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
