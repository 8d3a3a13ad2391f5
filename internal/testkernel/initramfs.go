//go:build linux && (cgo || !android)

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/peercred/internal/staticbuild"
	"example.com/peercred/internal/toolrun"
)

// tested are the packages whose tests speak to the kernel, by directory.
var tested = []struct{ name, dir string }{
	{"peercred", "."},
	{"cpeercred", "./cpeercred"},
	{"native", "./native"},
	{"guard", "./guard"},
}

// suite is the tests for one architecture, as an archive that its kernel unpacks.
type suite struct {
	archive string
	runs    []run // how to run them
}

// build makes the suite in dir, with this command as init.
func build(ctx context.Context, dir, arch string) (s suite, err error) {
	fmt.Printf("building the tests for %s\n", arch)
	root := filepath.Join(dir, "root-"+arch)
	if err := goCommand(ctx, arch, "0", "build", "-o", filepath.Join(root, "init"), "-ldflags", "-s -w", "./internal/testkernel"); err != nil {
		return s, err
	}
	for _, setting := range staticbuild.Settings {
		for _, p := range tested {
			binary := filepath.Join("/tests", setting.CGO, p.name+".test")
			arguments := append([]string{"test", "-c", "-o", filepath.Join(root, binary)}, setting.Flags...)
			if err := goCommand(ctx, arch, setting.CGO, append(arguments, p.dir)...); err != nil {
				return s, err
			}
			s.runs = append(s.runs, run{
				Setting:   setting.String(),
				Package:   p.name,
				Binary:    binary,
				Arguments: []string{"-test.v", "-test.timeout=" + testPatience.String()},
			})
		}
	}
	s.archive = filepath.Join(dir, "suite-"+arch)
	return s, pack(ctx, root, s.archive)
}

func goCommand(ctx context.Context, arch, cgo string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED="+cgo, "CC="+machines[arch].compiler)
	_, err := toolrun.Output(cmd)
	return err
}

// withPlan writes the suite and p to initramfs: a kernel unpacks one archive after
// the other.
func (s suite) withPlan(ctx context.Context, p plan, initramfs string) error {
	root, err := os.MkdirTemp(filepath.Dir(initramfs), "plan")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, planFile), text, 0o644); err != nil {
		return err
	}
	second := filepath.Join(filepath.Dir(root), filepath.Base(root)+".cpio")
	defer os.Remove(second)
	if err := pack(ctx, root, second); err != nil {
		return err
	}
	return concatenate(initramfs, s.archive, second)
}

func concatenate(to string, from ...string) error {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, name := range from {
		part, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, part)
		part.Close()
		if err != nil {
			return err
		}
	}
	return file.Close()
}

// pack writes what is in root as an archive that the kernel unpacks.
func pack(ctx context.Context, root, archive string) error {
	names, err := namesIn(root)
	if err != nil {
		return err
	}
	cpio := exec.CommandContext(ctx, "cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet", "-O", archive)
	cpio.Dir = root
	cpio.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	_, err = toolrun.Output(cpio)
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
