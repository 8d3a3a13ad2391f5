//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

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

// A package, and a test that notices some changes and not others.
func TestMutants(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": "module policy\n\ngo 1.26\n", "policy.go": policy, "policy_test.go": policyTest} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	lives := identity{File: "policy.go", Function: "Allow", Condition: `name == "root"`, Change: never}
	gone := identity{File: "policy.go", Function: "Allow", Condition: "uid == 3", Change: never}
	dies := identity{File: "policy.go", Function: "Allow", Condition: "uid == 1", Change: always}
	r := &run{
		subject: &subject{name: "policy", module: ".", dir: ".", cgo: "0", tests: []string{"."}},
		options: options{jobs: 2, kinds: conditions + "," + constants},
		reasons: map[identity]string{lives: "nobody asks", gone: "it was there", dies: "a hope"},
		dir:     filepath.Join(t.TempDir(), "policy"),
		cache:   &cache{file: log, known: map[identity]record{}},
	}
	defer r.cache.close()
	if r.sources, _, err = r.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.choose()
	if err := r.tryAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.chosen {
		got = append(got, fmt.Sprintf("%s %s: %s", m.Condition, m.Change, r.results[m].Outcome))
	}
	want := []string{
		`uid == 0 || name == "root" true: killed`,
		`uid == 0 || name == "root" false: killed`,
		`uid == 0 false: killed`,
		`uid == 0 inverted: killed`,
		`0 one more: killed`,
		`name == "root" false: survived`,
		`name == "root" inverted: killed`,
		`case 7 dropped: survived`,
		`7 one more: uncompilable`,     // it is 8 then, of which there is one
		`case 8 dropped: uncompilable`, // for what it imports
		`8 one more: survived`,
		`uid > 1000 false: survived`,
		`uid > 1000 boundary: killed`,
		`1000 one more: survived`,
		`1000 one more: survived`,
		`uid == 1 true: killed`,
		`uid == 1 false: killed`,
		`uid == 1 inverted: killed`,
		`1 one more: killed`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	r.report(nil)
	if want := 2 + 3 + 2; r.problems != want { // survivors of both kinds, and acceptances that are stale
		t.Errorf("%d problems, want %d", r.problems, want)
	}
}

func TestAfterHang(t *testing.T) {
	const out = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n=== RUN   TestB/one\n"
	hung, others := afterHang([]byte(out), []string{"TestA", "TestB", "TestC"})
	if diff := cmp.Diff([]string{"TestB", "TestC"}, append([]string{hung}, others...)); diff != "" {
		t.Errorf("the test that hung, and the others (-want +got):\n%s", diff)
	}
}

func TestTurns(t *testing.T) {
	tests := []test{{"TestLong", 700}, {"TestShort", 10}, {"TestNothing", 0}, {"TestMiddling", 190}, {"TestShorter", 100}}
	want := map[test]int{tests[0]: 2, tests[1]: 0, tests[2]: 0, tests[3]: 2, tests[4]: 1}
	if diff := cmp.Diff(want, turns(tests), cmp.AllowUnexported(test{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
