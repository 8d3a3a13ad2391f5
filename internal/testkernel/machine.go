//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// machine is what qemu emulates for an architecture, and what builds for it.
type machine struct {
	qemu      string
	arguments []string
	console   string // that is the serial port
	kernel    string // parameters of the kernel
	compiler  string
}

// noTimerCheck leaves out a check at boot: the kernel counts the timer's interrupts
// for some milliseconds, and panics ("IO-APIC + timer doesn't work!") if there are too
// few. On a busy host the emulator sends them late.
const noTimerCheck = "no_timer_check"

var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", []string{"-cpu", "max"}, "ttyS0", noTimerCheck, "x86_64-linux-gnu-gcc"},
	"arm64": {"qemu-system-aarch64", []string{"-M", "virt", "-cpu", "neoverse-n1"}, "ttyAMA0", "", "aarch64-linux-gnu-gcc"},
	"s390x": {"qemu-system-s390x", []string{"-cpu", "max"}, "ttysclp0", "", "s390x-linux-gnu-gcc"},
}

// emulate runs the machine until it powers off, and calls line with each line
// that its serial port, or qemu, prints.
func (m machine) emulate(ctx context.Context, kernel, initramfs, parameters string, line func(string)) error {
	cmd := exec.CommandContext(ctx, m.qemu, slices.Concat(m.arguments, []string{
		// One thread for both processors: before 8.1, qemu with a thread for each can run
		// code that the kernel has patched as it was before ("Oops: int3" at boot).
		"-accel", "tcg,thread=single", "-smp", "2", "-m", "2G",
		// Not -nographic, with which the BIOS writes to the serial port, and clears
		// the screen of who reads it.
		"-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initramfs,
		// A panic ends the machine; nothing less may print between the tests' lines.
		"-append", "console=" + m.console + " quiet loglevel=1 panic=-1 " + m.kernel + " " + parameters,
	})...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	reader := bufio.NewReader(stdout)
	for {
		text, err := reader.ReadString('\n')
		if text != "" {
			line(strings.TrimRight(text, "\r\n"))
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("the machine was stopped: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.qemu, err)
	}
	return nil
}

// version names the emulator.
func (m machine) version(ctx context.Context) (string, error) {
	out, err := toolrun.Output(exec.CommandContext(ctx, m.qemu, "--version"))
	if err != nil {
		return "", err
	}
	var version string
	if _, err := fmt.Sscanf(out, "QEMU emulator version %s", &version); err != nil {
		return "", fmt.Errorf("%s --version: %w: %s", m.qemu, err, out)
	}
	return m.qemu + " " + version, nil
}
