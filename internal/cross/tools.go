//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// toolchain is Zig, which carries clang, and the headers and libraries of systems.
type toolchain struct {
	zig     string
	version string // "Zig 0.17.1"
}

// checkTools names all that is missing for make cross, and what installs it. Zig is
// installed by the Makefile, which takes pip.
func checkTools(zig, python string) error {
	tools := []toolrun.Tool{toolrun.CCompiler()}
	if _, err := os.Stat(zig); err != nil && exec.Command(python, "-m", "pip", "--version").Run() != nil {
		tools = append(tools, toolrun.Tool{Command: python + " -m pip", Packages: "python3-pip"})
	}
	return toolrun.Missing(tools...)
}

func findTools(ctx context.Context, zig string) (toolchain, error) {
	zig, err := filepath.Abs(zig)
	if err != nil {
		return toolchain{}, err
	}
	version, err := toolrun.Output(exec.CommandContext(ctx, zig, "version"))
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
