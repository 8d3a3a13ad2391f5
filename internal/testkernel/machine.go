//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

const qemu = "qemu-system-x86_64"

// emulate runs the machine until it powers off, and calls line with each line
// that its serial port, or qemu, prints.
func emulate(ctx context.Context, kernel, initramfs, parameters string, line func(string)) error {
	cmd := exec.CommandContext(ctx, qemu,
		"-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2G",
		// Not -nographic, with which the BIOS writes to the serial port, and clears
		// the screen of who reads it.
		"-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initramfs,
		// A panic ends the machine; nothing less may print between the tests' lines.
		"-append", "console=ttyS0 quiet loglevel=1 panic=-1 "+parameters)
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
		return fmt.Errorf("%s: %w", qemu, err)
	}
	return nil
}
