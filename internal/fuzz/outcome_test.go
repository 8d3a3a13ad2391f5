//go:build linux && (cgo || !android)

package main

import "testing"

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
