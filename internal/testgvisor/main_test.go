//go:build linux && (cgo || !android)

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpected(t *testing.T) {
	for version, want := range map[string]string{
		"runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n":       refused.outcome,
		"runsc version release-20251027.0\nspec: 1.1.0-rc.1\n":  refused.outcome,
		"runsc version release-20251110.0\nspec: 1.1.0-rc.1\n":  "",
		"runsc version release-20260906.0\nspec: 1.1.0-rc.1\n":  answered.outcome,
		"runsc version VERSION_MISSING\nspec: 1.1.0-20260906\n": "",
	} {
		_, got, err := expected(version)
		if got.outcome != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", version, got.outcome, err, want)
		}
	}
}

func TestComplaints(t *testing.T) {
	const good = "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n"
	for name, test := range map[string]struct {
		out   string
		code  int
		tests []string
		want  []string
	}{
		"good":      {good, 0, []string{"TestA"}, nil},
		"not run":   {good, 0, []string{"TestA", "TestB"}, []string{"TestB did not pass"}},
		"a crash":   {good, 2, []string{"TestA"}, []string{"exited with 2, and 0 tests failed"}},
		"no kernel": {"cannot start\n", 1, []string{"TestA"}, []string{"exited with 1, and 0 tests failed", "TestA did not pass"}},
		"was skipped": {"=== RUN   TestA\n    a_test.go:1: needs root\n--- SKIP: TestA (0.00s)\nPASS\n", 0, []string{"TestA"},
			[]string{"skipped TestA, for no reason that is expected: needs root", "TestA did not pass"}},
	} {
		if diff := cmp.Diff(test.want, complaints(test.out, test.code, test.tests)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
