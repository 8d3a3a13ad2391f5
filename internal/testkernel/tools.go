//go:build linux && (cgo || !android)

package main

import "example.com/peercred/internal/toolrun"

// packages are the Debian packages of the tools that are called.
var packages = map[string]string{
	"qemu-system-x86_64":    "qemu-system-x86",
	"qemu-system-aarch64":   "qemu-system-arm",
	"qemu-system-s390x":     "qemu-system-misc",
	"x86_64-linux-gnu-gcc":  "gcc libc6-dev",
	"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
	"s390x-linux-gnu-gcc":   "gcc-s390x-linux-gnu libc6-dev-s390x-cross",
	"apparmor_parser":       "apparmor",
	"cpio":                  "cpio",
	"apt-get":               "apt",
	"apt-cache":             "apt",
	"dpkg-deb":              "dpkg",
	"tar":                   "tar",
}

// checkTools names all that is missing for chosen, and what installs it.
func checkTools(chosen []boot) error {
	commands := []string{"apparmor_parser", "cpio", "apt-get", "apt-cache", "dpkg-deb", "tar"}
	for _, b := range chosen {
		m := machines[b.arch]
		commands = append(commands, m.qemu, m.compiler)
	}
	var tools []toolrun.Tool
	for _, command := range commands {
		tools = append(tools, toolrun.Tool{Command: command, Packages: packages[command]})
	}
	return toolrun.Missing(tools...)
}
