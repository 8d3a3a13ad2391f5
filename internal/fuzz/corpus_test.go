//go:build linux && (cgo || !android)

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A corpus has an entry a line; comments, spaces and an empty file are none.
func TestUnpack(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // nil if it is an error
	}{
		{"two", "00ff\n01\n", []string{"\x01", "\x00\xff"}},
		{"with comments and spaces", "# of a trap: 00\n00 01 ff\n", []string{"\x00\x01\xff"}},
		{"empty", "", []string{}},
		{"not hexadecimal", "00 zz\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "corpus.hex")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, unpacked(t, file)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", test.text, diff)
			}
		})
	}
	if diff := cmp.Diff([]string{}, unpacked(t, filepath.Join(t.TempDir(), "none.hex"))); diff != "" {
		t.Errorf("no file (-want +got):\n%s", diff)
	}
}

// The seeds of the tree can be read.
func TestSeeds(t *testing.T) {
	files, err := filepath.Glob("../../cpeercred/testdata/fuzz/seeds/*.hex")
	if err != nil || len(files) == 0 {
		t.Skipf("needs the source beside the test: %q, %v", files, err)
	}
	for _, file := range files {
		if entries := unpacked(t, file); len(entries) == 0 {
			t.Errorf("%s holds no seed", file)
		}
	}
}

// unpacked are the entries of a file, the shortest first, or nil if it cannot be read.
func unpacked(t *testing.T, file string) []string {
	t.Helper()
	dir, err := unpack(file)
	if err != nil {
		t.Log(err)
		return nil
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	entries, err := shortestFirst(dir)
	if err != nil {
		t.Fatal(err)
	}
	contents := []string{}
	for _, e := range entries {
		contents = append(contents, string(e.content))
	}
	return contents
}
