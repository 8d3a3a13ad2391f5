//go:build linux && (cgo || !android)

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goFinding = `fuzz: elapsed: 0s, gathering baseline coverage: 0/192 completed
fuzz: elapsed: 3s, execs: 32629 (10874/sec), new interesting: 2 (total: 501)
fuzz: elapsed: 5s, execs: 47528 (7145/sec), new interesting: 3 (total: 502)
--- FAIL: FuzzX (5.03s)
    --- FAIL: FuzzX (0.00s)
        x_test.go:12: wrong

    Failing input written to testdata/fuzz/FuzzX/582528ddfad69eb5
    To re-run:
    go test -run=FuzzX/582528ddfad69eb5
FAIL
`

const goTimeIsUp = `fuzz: elapsed: 30s, execs: 12 (1/sec), new interesting: 0 (total: 5)
--- FAIL: FuzzX (30.11s)
    context deadline exceeded
FAIL
`

const cFinding = `#2	INITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 30Mb
broken promise: an error comes without a value
artifact_prefix='/c/linux-'; Test unit written to /c/linux-crash-0e99
stat::number_of_executed_units: 7955
stat::average_exec_per_sec:     0
stat::new_units_added:          45
`

func TestOutcomes(t *testing.T) {
	if executions, learnt := goStatistics(goFinding); executions != 47528 || learnt != 3 {
		t.Errorf("Go's statistics: %d, %d", executions, learnt)
	}
	if got := goInput(goFinding); got != "testdata/fuzz/FuzzX/582528ddfad69eb5" {
		t.Errorf("Go's input: %q", got)
	}
	if onlyTimeIsUp(goFinding) || !onlyTimeIsUp(goTimeIsUp) || onlyTimeIsUp("ok") {
		t.Error("a finding and the end of the time are not told apart")
	}
	if executions, learnt := cStatistics(cFinding); executions != 7955 || learnt != 45 {
		t.Errorf("libFuzzer's statistics: %d, %d", executions, learnt)
	}
	if m := artifactLine.FindStringSubmatch(cFinding); m == nil || m[1] != "/c/linux-crash-0e99" {
		t.Errorf("libFuzzer's input: %q", m)
	}
}

func TestCorpusIsPacked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "corpora", "linux.hex")
	const text = "00\n0a\n0102ff\n"
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := unpack(file)
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	again := filepath.Join(t.TempDir(), "again", "linux.hex")
	if err := pack(dir, again); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(again)
	if diff := cmp.Diff(text, string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := os.WriteFile(file, []byte("0x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if dir, err := unpack(file); err == nil {
		t.Errorf("what is no corpus is unpacked into %s", dir)
	}
}

func TestEntriesAreReadOnce(t *testing.T) {
	kept, learnt := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{kept + "/a": "long", kept + "/b": "x", learnt + "/a": "long", learnt + "/c": "y"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := shortestFirst(kept, learnt, kept+"/missing")
	var got []string
	for _, e := range entries {
		got = append(got, e.name+" "+string(e.content))
	}
	if diff := cmp.Diff([]string{"b x", "c y", "a long"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
