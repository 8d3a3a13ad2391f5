//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"os/exec"
)

// packages are the Debian packages of the tools that are called.
var packages = map[string]string{
	"qemu-system-x86_64":    "qemu-system-x86",
	"qemu-system-aarch64":   "qemu-system-arm",
	"qemu-system-s390x":     "qemu-system-misc",
	"x86_64-linux-gnu-gcc":  "gcc libc6-dev",
	"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
	"s390x-linux-gnu-gcc":   "gcc-s390x-linux-gnu libc6-dev-s390x-cross",
	"secilc":                "secilc",
	"cpio":                  "cpio",
	"apt-get":               "apt",
	"apt-cache":             "apt",
	"dpkg-deb":              "dpkg",
	"tar":                   "tar",
}

// checkTools says what to install for chosen, if anything.
func checkTools(chosen []boot) error {
	tools := []string{"secilc", "cpio", "apt-get", "apt-cache", "dpkg-deb", "tar"}
	for _, b := range chosen {
		m := machines[b.arch]
		tools = append(tools, m.qemu, m.compiler)
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: apt-get install --no-install-recommends %s", err, packages[tool])
		}
	}
	return nil
}
