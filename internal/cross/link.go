//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"example.com/peercred/internal/toolrun"
)

// port is one for which whole programs are linked, by Zig in place of its linker.
type port struct {
	system, arch string
	triple       string
	flags        []string // of go build
	libraries    string   // whose they are
}

const ownLibraries = "the system's own headers and libc"

// What Go wants of a linker, and Zig does not have or do.
var (
	noStrip    = []string{"-ldflags=-w"} // else Go calls this machine's strip
	noResolver = []string{"-tags=netgo"} // else package net wants a libresolv
)

var ports = []port{
	{"darwin", "amd64", "x86_64-macos", noStrip, appleLibraries},
	{"darwin", "arm64", "aarch64-macos", noStrip, appleLibraries},
	{"freebsd", "amd64", "x86_64-freebsd", nil, ownLibraries},
	{"freebsd", "arm64", "aarch64-freebsd", nil, ownLibraries},
	{"netbsd", "amd64", "x86_64-netbsd", noResolver, ownLibraries},
	{"netbsd", "arm64", "aarch64-netbsd", noResolver, ownLibraries},
	{"openbsd", "amd64", "x86_64-openbsd", nil, ownLibraries},
	{"openbsd", "arm64", "aarch64-openbsd", nil, ownLibraries},
	{"windows", "amd64", "x86_64-windows-gnu", nil, "MinGW's headers and libraries, and no shim"},
}

// link links the command, and the tests of peercred and cpeercred, for each port.
func link(ctx context.Context, tools toolchain, only string) error {
	dir, err := os.MkdirTemp("", "peercred-cross")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sdk := filepath.Join(dir, "sdk")
	if err := writeAppleStubs(ctx, sdk); err != nil {
		return err
	}
	done := 0
	for _, p := range ports {
		if only != "" && p.system != only {
			continue
		}
		fmt.Printf("cross: linking for %s/%s\n", p.system, p.arch)
		programs := filepath.Join(dir, p.system+"-"+p.arch)
		if err := p.linkAll(ctx, tools, sdk, programs); err != nil {
			return fmt.Errorf("%s/%s: %w", p.system, p.arch, err)
		}
		if err := p.checkAll(programs); err != nil {
			return fmt.Errorf("%s/%s: %w", p.system, p.arch, err)
		}
		proven(p.system, p.arch, "linked", "cross-cgo", "the command and the tests, with %s, by %s", p.libraries, tools.version)
		done++
	}
	if done == 0 {
		return fmt.Errorf("no program is linked for %q", only)
	}
	return nil
}

func (p port) linkAll(ctx context.Context, tools toolchain, sdk, programs string) error {
	if err := os.Mkdir(programs, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	flags := append(slices.Clone(p.flags), "-o", programs+string(filepath.Separator))
	for _, arguments := range [][]string{
		slices.Concat([]string{"build"}, flags, []string{"./cmd/peercred"}),
		slices.Concat([]string{"test", "-c"}, flags, []string{".", "./cpeercred"}),
	} {
		cmd := exec.CommandContext(ctx, "go", arguments...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+p.system, "GOARCH="+p.arch,
			"CC="+self+" "+compilerCommand+" "+p.triple, zigVariable+"="+tools.zig, sdkVariable+"="+sdk)
		if _, err := toolrun.Output(cmd); err != nil {
			return err
		}
	}
	return nil
}
