//go:build linux && (cgo || !android)

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// setting is one of the two builds of the tests, static because the guest has no
// libraries.
type setting struct {
	cgo   string // CGO_ENABLED
	flags []string
}

var settings = []setting{
	{"1", []string{"-tags", "netgo,osusergo", "-ldflags", "-s -w -linkmode external -extldflags -static"}},
	{"0", []string{"-ldflags", "-s -w"}},
}

func (s setting) name() string { return "CGO_ENABLED=" + s.cgo }

// packages are those whose tests speak to the kernel, by directory.
var packages = []struct{ name, dir string }{
	{"peercred", "."},
	{"cpeercred", "./cpeercred"},
	{"native", "./native"},
	{"guard", "./guard"},
}

// build puts this command as init and the test binaries into root, and tells how
// to run them.
func build(ctx context.Context, root string) ([]run, error) {
	if err := goCommand(ctx, "0", "build", "-o", filepath.Join(root, "init"), "./internal/testkernel"); err != nil {
		return nil, err
	}
	var runs []run
	for _, s := range settings {
		for _, p := range packages {
			binary := filepath.Join("/tests", s.cgo, p.name+".test")
			arguments := append([]string{"test", "-c", "-o", filepath.Join(root, binary)}, s.flags...)
			if err := goCommand(ctx, s.cgo, append(arguments, p.dir)...); err != nil {
				return nil, err
			}
			runs = append(runs, run{
				Setting:   s.name(),
				Package:   p.name,
				Binary:    binary,
				Arguments: []string{"-test.v", "-test.timeout=" + testTimeout.String()},
			})
		}
	}
	return runs, nil
}

func goCommand(ctx context.Context, cgo string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	_, err := output(cmd)
	return err
}

// pack writes root with the plan as an archive that the kernel unpacks.
func pack(ctx context.Context, root string, p plan, initramfs string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, planFile), text, 0o644); err != nil {
		return err
	}
	names, err := namesIn(root)
	if err != nil {
		return err
	}
	cpio := exec.CommandContext(ctx, "cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet", "-O", initramfs)
	cpio.Dir = root
	cpio.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	_, err = output(cpio)
	return err
}

// namesIn leaves out root itself, whose mode would become that of the guest's.
func namesIn(root string) (names []string, err error) {
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("walk %s: %w", root, err)
	}
	return names, nil
}
