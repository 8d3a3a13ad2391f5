//go:build linux && (cgo || !android)

package main

import (
	"bytes"
	"fmt"
	"os/exec"
)

// The tools that are called, and the Debian packages that have them.
var tools = []struct{ name, pkg string }{
	{qemu, "qemu-system-x86"},
	{"cpio", "cpio"},
	{"apt-get", "apt"},
	{"apt-cache", "apt"},
	{"dpkg-deb", "dpkg"},
	{"tar", "tar"},
}

func checkTools() error {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			return fmt.Errorf("%w: apt-get install --no-install-recommends %s", err, tool.pkg)
		}
	}
	return nil
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
