//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/peercred/internal/toolrun"
)

// Who signs Debian's archive.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// listsAge is how old apt's lists may be, which say what the archive has.
const listsAge = 24 * time.Hour

// archive is a part of Debian's archive for one architecture, as apt sees it with
// a state of its own, so that the system's sources and lists stay as they are.
type archive struct {
	dir     string
	options []string
}

// openArchive reads the lists of suites, each a line "URI SUITE".
func openArchive(ctx context.Context, dir, arch string, suites []string) (*archive, error) {
	a := &archive{dir: dir}
	for name, value := range map[string]string{
		"APT::Architecture":    arch,
		"Dir::Etc::SourceList": filepath.Join(dir, "sources.list"),
		"Dir::State":           dir,
		"Dir::State::status":   filepath.Join(dir, "status"),
		"Dir::Cache":           dir,
		"APT::Sandbox::User":   "root", // which reads a home directory where _apt does not
		"Acquire::Languages":   "none",
		"Acquire::Retries":     "3",
	} {
		a.options = append(a.options, "-o", name+"="+value)
	}
	a.options = append(a.options, "-o", "Dir::Etc::SourceParts=-")
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "archives", "partial"), 0o755); err != nil {
		return nil, err
	}
	var sources strings.Builder
	for _, suite := range suites {
		fmt.Fprintf(&sources, "deb [arch=%s signed-by=%s target=Packages] %s main\n", arch, keyring, suite)
	}
	for name, text := range map[string]string{"sources.list": sources.String(), "status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return a, a.update(ctx)
}

// update reads the lists anew when they are old.
func (a *archive) update(ctx context.Context) error {
	stamp := filepath.Join(a.dir, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < listsAge {
		return nil
	}
	fmt.Printf("reading the lists of Debian's archive into %s\n", a.dir)
	if _, err := a.apt(ctx, "apt-get", "-qq", "update"); err != nil {
		return fmt.Errorf("%w\n(is there a network, and %s, of debian-archive-keyring?)", err, keyring)
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// apt runs one of apt's tools for what it prints.
func (a *archive) apt(ctx context.Context, tool string, arguments ...string) (string, error) {
	return toolrun.Output(exec.CommandContext(ctx, tool, slices.Concat(a.options, arguments)...))
}

// has tells whether there is such a package.
func (a *archive) has(ctx context.Context, name string) bool {
	out, err := a.apt(ctx, "apt-cache", "show", name)
	return err == nil && out != ""
}

// download returns the path of the package's file in dir. apt has verified it. The
// package is NAME or NAME=VERSION.
func (a *archive) download(ctx context.Context, which, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", slices.Concat(a.options, []string{"download", which})...)
	cmd.Dir = dir
	if _, err := toolrun.Output(cmd); err != nil {
		return "", fmt.Errorf("%w\n(if the archive has a newer one by now: rm -r %s)", err, a.dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("apt-get download left %q, %v, want one package", files, err)
	}
	return files[0], nil
}
