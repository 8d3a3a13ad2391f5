//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The expectations of the boots are those of this kernel.
const kernelSeries = "6.1."

var (
	kernelDependency = regexp.MustCompile(`(?m)^ *Depends: (linux-image-(\S+))$`)
	packageVersion   = regexp.MustCompile(`(?m)^Version: (\S+)$`)
)

// fetchKernel returns the path of the kernel that linux-image-amd64 stands for.
// It is downloaded, not installed, and kept under its version.
func fetchKernel(ctx context.Context) (string, error) {
	name, release, err := kernelPackage(ctx)
	if err != nil {
		return "", err
	}
	out, err := output(exec.CommandContext(ctx, "apt-cache", "show", "--no-all-versions", name))
	if err != nil {
		return "", err
	}
	version := packageVersion.FindStringSubmatch(out)
	if version == nil {
		return "", fmt.Errorf("apt-cache shows no version of %s; apt-get update", name)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	kernel := filepath.Join(cache, "peercred", "vmlinuz-"+release+"_"+version[1])
	if _, err := os.Stat(kernel); err == nil {
		return kernel, nil
	}
	fmt.Printf("downloading the kernel of %s %s to %s\n", name, version[1], kernel)
	return kernel, downloadKernel(ctx, name+"="+version[1], release, kernel)
}

func kernelPackage(ctx context.Context) (name, release string, err error) {
	out, err := output(exec.CommandContext(ctx, "apt-cache", "depends", "linux-image-amd64"))
	if err != nil {
		return "", "", fmt.Errorf("%w\n(is this Debian, and was there an apt-get update?)", err)
	}
	found := kernelDependency.FindStringSubmatch(out)
	if found == nil || !strings.HasPrefix(found[2], kernelSeries) {
		return "", "", fmt.Errorf("linux-image-amd64 depends on no kernel %sx, which Debian 12 has:\n%s", kernelSeries, out)
	}
	return found[1], found[2], nil
}

func downloadKernel(ctx context.Context, packageAndVersion, release, kernel string) error {
	if err := os.MkdirAll(filepath.Dir(kernel), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(kernel), "download") // where a rename is atomic
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	download := exec.CommandContext(ctx, "apt-get", "download", packageAndVersion)
	download.Dir = dir
	if _, err := output(download); err != nil {
		return fmt.Errorf("%w\n(was there an apt-get update?)", err)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("apt-get download left %q, %v, want one package", archives, err)
	}
	part := filepath.Join(dir, "vmlinuz")
	if err := unpackFile(ctx, archives[0], "./boot/vmlinuz-"+release, part); err != nil {
		return err
	}
	return os.Rename(part, kernel)
}

// unpackFile writes one file of a Debian package to another name.
func unpackFile(ctx context.Context, archive, member, to string) error {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	dpkg := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", archive)
	tar := exec.CommandContext(ctx, "tar", "-xOf", "-", member)
	dpkg.Stderr, tar.Stdout, tar.Stderr = os.Stderr, file, os.Stderr
	if tar.Stdin, err = dpkg.StdoutPipe(); err != nil {
		return err
	}
	if err := dpkg.Start(); err != nil {
		return err
	}
	if err := tar.Run(); err != nil {
		return fmt.Errorf("%v: %w", tar, err)
	}
	if err := dpkg.Wait(); err != nil {
		return fmt.Errorf("%v: %w", dpkg, err)
	}
	return file.Close()
}
