//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"example.com/peercred/internal/testlog"
)

// packages are those that ask the kernel through the C shims.
var packages = []string{".", "./cpeercred", "./guard"}

// debian are the packages that have the compilers, the libcs and the sanitizers.
const debian = "gcc libc6-dev clang libclang-rt-14-dev musl-tools"

// test builds and runs the tests, once it is sure that the build is what its title
// says.
func (b build) test(ctx context.Context, dir, filter string) (testlog.Counts, error) {
	if err := b.checkPlanted(ctx, dir); err != nil {
		return testlog.Counts{}, err
	}
	var log testlog.Log
	code, text, err := b.goTest(ctx, filter, log.Read)
	if err != nil {
		return log.Counts, err
	}
	complaints := log.Complaints(code, b.expectedSkips())
	if log.Passed == 0 {
		complaints = append(complaints, "passed no test")
	}
	if len(complaints) > 0 {
		return log.Counts, fmt.Errorf("%s\n%s", strings.Join(complaints, "\n"), text)
	}
	return log.Counts, nil
}

// goTest gives each line that go test prints to line, and returns them all.
func (b build) goTest(ctx context.Context, filter string, line func(string)) (code int, text string, err error) {
	cmd := b.command(ctx, b.arguments("test", slices.Concat([]string{"-v", "-count=1", "-run=" + filter}, packages)...))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	var all strings.Builder
	lines := bufio.NewScanner(io.TeeReader(stdout, &all))
	for lines.Scan() {
		line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return 0, "", err
	}
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return 0, "", err
	}
	return cmd.ProcessState.ExitCode(), all.String(), nil
}

// checkPlanted builds testdata/planted as the tests are built.
func (b build) checkPlanted(ctx context.Context, dir string) error {
	planted := filepath.Join(dir, "planted")
	if out, err := b.command(ctx, b.arguments("build", "-o", planted, "./internal/testlibc/testdata/planted")).CombinedOutput(); err != nil {
		return fmt.Errorf("%w (apt-get install --no-install-recommends %s)\n%s", err, debian, out)
	}
	if err := b.checkLibc(ctx, planted); err != nil {
		return err
	}
	return b.checkSanitizer(ctx, planted)
}

func (b build) checkLibc(ctx context.Context, planted string) error {
	out, err := exec.CommandContext(ctx, planted, "libc").Output()
	if err != nil {
		return err
	}
	fmt.Printf("  linked to %s", out)
	if !strings.HasPrefix(string(out), b.libc) {
		return fmt.Errorf("its libc is %q, want %s", out, b.libc)
	}
	file, err := elf.Open(planted)
	if err != nil {
		return err
	}
	defer file.Close()
	dynamic := slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if dynamic == b.isStatic() {
		return fmt.Errorf("static: %v, want %v", !dynamic, b.isStatic())
	}
	return nil
}

func (b build) checkSanitizer(ctx context.Context, planted string) error {
	if b.sanitizer == nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, planted, b.sanitizer.bug).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(b.sanitizer.report)) {
		return fmt.Errorf("%s does not catch the planted bug %q: %v\n%s", b.sanitizer.name, b.sanitizer.bug, err, out)
	}
	fmt.Printf("  the planted bug is caught: %s\n", b.sanitizer.report)
	return nil
}

func (b build) command(ctx context.Context, arguments []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Env = append(os.Environ(), b.environment()...)
	return cmd
}
