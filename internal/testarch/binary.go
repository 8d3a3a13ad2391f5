//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"example.com/peercred/internal/staticbuild"
	"example.com/peercred/internal/testlog"
)

// binary is a test binary, and what it told.
type binary struct {
	setting staticbuild.Setting
	pkg     string
	dir     string // of the source, which some tests read
	path    string
	log     testlog.Log
	output  string
	err     error
}

// The beginnings of the reasons that a test may have not to run: on some processors,
// and under qemu-user, which lets nobody set SO_PASSRIGHTS and calls the kernel itself.
var (
	expectedSkips = []string{"needs seccomp filters: ", "needs an int that holds the number of all ids", testlog.NoProfile, testlog.NoPolicy}
	emulatedSkips = append(expectedSkips, "needs SO_PASSRIGHTS, ", "needs unix_diag: ", "needs PIDFD_GET_INFO, ", "needs system calls of its own, ")
)

// run runs the tests that match filter, where "go test" would.
func (b *binary) run(ctx context.Context, a architecture, filter string) {
	cmd := exec.CommandContext(ctx, b.path, "-test.v", "-test.timeout="+patience.String(), "-test.run="+filter)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "PEERCRED_TEST_CC="+a.cc+" -static")
	cmd.Env = append(cmd.Env, a.environment...)
	cmd.WaitDelay = patience // for processes that a test leaves, and that have its stdout
	if a.emulated() {
		emulator, err := exec.LookPath(a.qemu)
		if err != nil {
			b.err = err
			return
		}
		if b.err = emulate(cmd, emulator); b.err != nil {
			return
		}
		cmd.Env = append(cmd.Env, "PEERCRED_TEST_EMULATOR=qemu-user")
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	b.output = string(out)
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		b.err = err
	}
	for line := range strings.Lines(b.output) {
		b.log.Read(strings.TrimSuffix(line, "\n"))
	}
	fmt.Printf("  %s %-12s %s in %.0fs\n", b.setting, b.pkg, b.log.Counts, time.Since(began).Seconds())
	b.judgeExit(cmd.ProcessState)
}

// judgeExit holds the exit code against the verdicts: a crash is no verdict.
func (b *binary) judgeExit(state *os.ProcessState) {
	want := 0
	if b.log.Failed > 0 {
		want = 1
	}
	if b.err == nil && state.ExitCode() != want {
		b.err = fmt.Errorf("%v, of which %d tests failed", state, b.log.Failed)
	}
}

// complaints are what is wrong with the run, if anything.
func (b *binary) complaints(a architecture, filter string) (list []string) {
	if b.err != nil {
		list = append(list, b.err.Error())
	}
	if filter == "" && b.log.Passed == 0 {
		list = append(list, "passed no test")
	}
	if !a.emulated() {
		list = append(list, b.log.Unaccounted(expectedSkips)...)
		for _, test := range b.log.Failures() {
			list = append(list, test+" failed")
		}
		return list
	}
	list = append(list, b.log.Unaccounted(emulatedSkips)...)
	return append(list, unexpected(exceptions, b.pkg, &b.log, filter != "")...)
}
