//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// record is what became of a mutant, with these tests.
type record struct {
	identity
	Tests   string // their hash
	Outcome outcome
	By      string // the test that killed it
}

// cache keeps results from one run to the next, so that one that was interrupted goes
// on: in a file per subject and state of its sources, to which results are appended.
type cache struct {
	mu    sync.Mutex
	file  *os.File
	tests string
	known map[identity]record
}

// openCache takes results over from another state of the tests if kills is set, and they
// are kills.
func openCache(s *subject, fresh, kills bool) (*cache, error) {
	sources, tests, err := s.hashes()
	if err != nil {
		return nil, err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(base, "peercred", "mutate")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	flags := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if fresh {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(filepath.Join(dir, s.name+"-"+sources+".jsonl"), flags, 0o644)
	if err != nil {
		return nil, err
	}
	c := &cache{file: file, tests: tests, known: map[identity]record{}}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // cut off when a run was interrupted
		}
		if r.Tests == tests || kills && (r.Outcome == killed || r.Outcome == timedOut) {
			c.known[r.identity] = r
		}
	}
	return c, nil
}

func (c *cache) close() { c.file.Close() }

func (c *cache) put(r record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Tests = c.tests
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = c.file.Write(append(line, '\n'))
	return err
}

// hashes are those of the sources that can matter to a subject, and of its tests.
func (s *subject) hashes() (sources, tests string, err error) {
	of := map[bool][]byte{}
	folders := []string{".", "native", "cpeercred", "guard", "internal/reexec", "internal/seccomp", "cpeercred/testdata", filepath.Join(s.module, s.dir)}
	for _, test := range s.tests {
		folders = append(folders, filepath.Join(s.module, test))
	}
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return "", "", err
		}
		for _, entry := range entries {
			name := entry.Name()
			if !slices.Contains([]string{".go", ".c", ".h", ".mod"}, filepath.Ext(name)) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				return "", "", err
			}
			isTest := strings.HasSuffix(name, "_test.go") || strings.HasSuffix(folder, "testdata") || strings.HasPrefix(folder, "internal/")
			of[isTest] = fmt.Appendf(of[isTest], "%s/%s %x\n", folder, name, sha256.Sum256(text))
		}
	}
	hash := func(text []byte) string {
		return fmt.Sprintf("%x", sha256.Sum256(append(text, runtime.Version()...)))[:16]
	}
	return hash(of[false]), hash(of[true]), nil
}
