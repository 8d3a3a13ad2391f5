//go:build linux && (cgo || !android)

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/peercred/internal/staticbuild"
	"example.com/peercred/internal/toolrun"
)

// packages are those whose tests speak to the kernel, by directory; what takes
// longest comes first.
var packages = []struct{ name, dir string }{
	{"peercred", "."},
	{"guard", "guard"},
	{"native", "native"},
	{"cpeercred", "cpeercred"},
	{"cmd/peercred", "cmd/peercred"},
}

// build puts the test binaries of a setting into dir.
func (a architecture) build(ctx context.Context, s staticbuild.Setting, dir string) (binaries []*binary, err error) {
	for _, p := range packages {
		path := filepath.Join(dir, s.CGO, p.name+".test")
		cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-c", "-o", path}, s.Flags...)...)
		cmd.Args = append(cmd.Args, "./"+p.dir)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+s.CGO, "GOARCH="+a.name, "CC="+a.cc)
		cmd.Env = append(cmd.Env, a.environment...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go cleans up then
		if _, err := toolrun.Output(cmd); err != nil {
			return nil, err
		}
		binaries = append(binaries, &binary{setting: s, pkg: p.name, dir: p.dir, path: path})
	}
	return binaries, nil
}
