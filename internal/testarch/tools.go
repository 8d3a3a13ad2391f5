//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/toolrun"
)

// checkTools says all that is missing at once.
func checkTools(some []architecture) error {
	var missing []error
	tools := []toolrun.Tool{{Command: "strace", Packages: "strace"}}
	for _, a := range some {
		if a.emulated() {
			tools = append(tools, toolrun.Tool{Command: a.qemu, Packages: "qemu-user"})
		}
		if a.pkg != "" {
			tools = append(tools, toolrun.Tool{Command: a.compiler(), Packages: a.pkg})
		} else if _, err := os.Stat(filepath.Join(zigDir, "ziglang")); err != nil {
			missing = append(missing, fmt.Errorf("%s needs Zig in ZIG_DIR, where make test-arch installs it: %w", a.name, err))
		}
	}
	if os.Geteuid() != 0 {
		missing = append(missing, errors.New("it must be run by root, for peers under other ids"))
	}
	return errors.Join(append(missing, toolrun.Missing(tools...))...)
}

// kernel tells the one that runs here.
func kernel() (string, error) {
	var name unix.Utsname
	err := unix.Uname(&name)
	return "Linux " + unix.ByteSliceToString(name.Release[:]), err
}
