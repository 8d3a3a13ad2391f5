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

// kernel is one that Debian has, and what the tests are to find in it.
type kernel struct {
	name           string
	series         string   // that its release begins with, if it is to be a certain one
	suites         []string // of the archive, each "URI SUITE"
	pidfd          bool     // SO_PEERPIDFD, since 6.5
	pidfdInfo      bool     // PIDFD_GET_INFO, since 6.13
	passRights     bool     // SO_PASSRIGHTS, since 6.16
	appArmorLabels bool     // AppArmor labels Unix sockets, since 6.17
	appArmor       string   // what it can do, by its name in /etc/apparmor.d/abi
}

const debian = "http://deb.debian.org/debian "

var (
	stable    = kernel{name: "6.1", series: "6.1.", suites: []string{debian + "bookworm", "http://deb.debian.org/debian-security bookworm-security"}, appArmor: "3.0"}
	backports = kernel{name: "6.12", series: "6.12.", suites: []string{debian + "bookworm-backports"}, pidfd: true, appArmor: "3.0"}
	newest    = kernel{name: "newest", suites: []string{debian + "sid"}, pidfd: true, pidfdInfo: true, passRights: true, appArmorLabels: true, appArmor: "5.0"}
)

// image is a kernel that can be booted.
type image struct{ release, path string }

// fetch returns the kernel that the package linux-image-ARCH stands for. It is
// downloaded, not installed, and kept under its version.
func (k kernel) fetch(ctx context.Context, arch string) (image, error) {
	cache, err := cacheDir()
	if err != nil {
		return image{}, err
	}
	a, err := k.archive(ctx, cache, arch)
	if err != nil {
		return image{}, err
	}
	release, version, err := k.find(ctx, a, arch)
	if err != nil {
		return image{}, err
	}
	i := image{release, filepath.Join(cache, "vmlinuz-"+release+"_"+version)}
	if _, err := os.Stat(i.path); err == nil {
		return i, nil
	}
	fmt.Printf("downloading Linux %s to %s\n", release, i.path)
	return i, i.download(ctx, a, version)
}

func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "peercred"), err
}

func (k kernel) archive(ctx context.Context, cache, arch string) (*archive, error) {
	return openArchive(ctx, filepath.Join(cache, "apt", k.name+"-"+arch), arch, k.suites)
}

var (
	kernelDependency = regexp.MustCompile(`(?m)^Depends:.*\blinux-image-(\d\S*)`)
	packageVersion   = regexp.MustCompile(`(?m)^Version: (\S+)$`)
)

func (k kernel) find(ctx context.Context, a *archive, arch string) (release, version string, err error) {
	out, err := a.apt(ctx, "apt-cache", "show", "--no-all-versions", "linux-image-"+arch)
	if err != nil {
		return "", "", err
	}
	on, has := kernelDependency.FindStringSubmatch(out), packageVersion.FindStringSubmatch(out)
	if on == nil || has == nil || !strings.HasPrefix(on[1], k.series) {
		return "", "", fmt.Errorf("linux-image-%s in %q is to depend on a kernel %sx:\n%s", arch, k.suites, k.series, out)
	}
	return on[1], has[1], nil
}

// download takes the kernel out of its package, which is one of its own since 7.x.
func (i image) download(ctx context.Context, a *archive, version string) error {
	name, member := "linux-binary-"+i.release, "./usr/lib/modules/"+i.release+"/vmlinuz"
	if !a.has(ctx, name) {
		name, member = "linux-image-"+i.release, "./boot/vmlinuz-"+i.release
	}
	dir, err := os.MkdirTemp(filepath.Dir(i.path), "download") // where a rename is atomic
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, err := a.download(ctx, name+"="+version, dir)
	if err != nil {
		return err
	}
	part := filepath.Join(dir, "vmlinuz")
	if err := unpackFile(ctx, file, member, part); err != nil {
		return err
	}
	return os.Rename(part, i.path)
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
