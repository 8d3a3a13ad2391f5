//go:build linux && (cgo || !android)

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keep takes from Go's cache, which has no minimiser, what reaches lines that nothing
// before it does: the entries are tried one by one, the shortest first.
func (t goTarget) keep(ctx context.Context) error {
	cache, err := mustOutput(ctx, []string{"go", "env", "GOCACHE"})
	if err != nil {
		return err
	}
	learnt := filepath.Join(strings.TrimSpace(cache), "fuzz", t.pkg, t.function)
	kept := filepath.Join(t.dir, "testdata", "fuzz", t.function)
	work, err := os.MkdirTemp("", "peercred-fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	trial := trial{t, filepath.Join(work, "test"), filepath.Join(work, "profile"), map[string]bool{}}
	if _, err := mustOutput(ctx, t.goTest("-c", "-cover", "-coverpkg=./...", "-o", trial.program, "."), in(t.dir)); err != nil {
		return err
	}
	entries, err := shortestFirst(kept, learnt)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(kept); err != nil {
		return err
	}
	// What the seeds reach, which f.Add adds, is no news: where they reach all lines
	// (FuzzSocketStates, FuzzText, FuzzMethods) there is no corpus.
	if _, err := trial.reaches(ctx, "^"+t.function+"$"); err != nil {
		return err
	}
	for _, e := range entries {
		if err := trial.keepIfNew(ctx, kept, e); err != nil {
			return err
		}
	}
	return nil
}

// A corpus of the C targets is one file in the tree, an entry a line. A line that begins
// with # is a comment, and spaces mean nothing.

func unpack(file string) (dir string, err error) {
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "peercred-corpus"); err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		content, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%x", sha1.Sum(content))), content, 0o644) // as libFuzzer names it
		}
		if err != nil {
			return "", errors.Join(fmt.Errorf("%s: %w", file, err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

func pack(dir, file string) error {
	entries, err := shortestFirst(dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "%x\n", e.content)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

type entry struct {
	name    string
	content []byte
}

// shortestFirst reads corpora, whose entries may be the same.
func shortestFirst(dirs ...string) (entries []entry, err error) {
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, f := range files {
			content, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, err
			}
			entries = append(entries, entry{f.Name(), content})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(len(a.content), len(b.content)), bytes.Compare(a.content, b.content))
	})
	return slices.CompactFunc(entries, func(a, b entry) bool { return bytes.Equal(a.content, b.content) }), nil
}

// trial runs a target on single entries, and remembers all that was reached.
type trial struct {
	goTarget
	program, profile string
	reached          map[string]bool
}

func (t trial) keepIfNew(ctx context.Context, dir string, e entry) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, e.name)
	if err := os.WriteFile(path, e.content, 0o644); err != nil {
		return err
	}
	fresh, err := t.reaches(ctx, "^"+t.function+"$/^"+e.name+"$")
	if err == nil && fresh {
		return nil
	}
	if removed := os.Remove(path); err == nil {
		err = removed
	}
	_ = os.Remove(dir) // unless it holds others
	return err
}

func (t trial) reaches(ctx context.Context, run string) (fresh bool, err error) {
	if _, err := mustOutput(ctx, []string{t.program, "-test.run=" + run, "-test.coverprofile=" + t.profile}, in(t.dir)); err != nil {
		return false, err
	}
	text, err := os.ReadFile(t.profile)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		block, ok := strings.CutSuffix(strings.TrimSpace(line), " 1")
		if ok && !t.reached[block] {
			t.reached[block], fresh = true, true
		}
	}
	return fresh, nil
}
