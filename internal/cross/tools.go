//go:build linux && (cgo || !android)

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// toolchain is Zig, which carries clang, and the headers and libraries of systems.
type toolchain struct {
	zig     string
	version string // "Zig 0.17.1"
}

func findTools(ctx context.Context, zig string) (toolchain, error) {
	zig, err := filepath.Abs(zig)
	if err != nil {
		return toolchain{}, err
	}
	version, err := output(exec.CommandContext(ctx, zig, "version"))
	if err != nil {
		return toolchain{}, fmt.Errorf("%w\n(the Makefile's targets cross-c and cross-cgo install it)", err)
	}
	return toolchain{zig, "Zig " + strings.TrimSpace(version)}, nil
}

// headers is a folder of those that Zig carries.
func (t toolchain) headers(name string) string {
	return filepath.Join(filepath.Dir(t.zig), "lib", "libc", "include", name)
}

// builtinHeaders are the compiler's own: stddef.h, stdint.h.
func (t toolchain) builtinHeaders() string {
	return filepath.Join(filepath.Dir(t.zig), "lib", "include")
}

// output runs cmd for its stdout; what it prints is part of the error.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s%s", cmd, err, &stdout, &stderr)
	}
	return stdout.String(), nil
}
