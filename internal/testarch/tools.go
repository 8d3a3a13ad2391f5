//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkTools says all that is missing at once.
func checkTools(some []architecture) error {
	var missing []error
	need := func(tool, pkg string) {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, fmt.Errorf("%w: apt-get install --no-install-recommends %s", err, pkg))
		}
	}
	need("strace", "strace")
	for _, a := range some {
		if a.emulated() {
			need(a.qemu, "qemu-user")
		}
		if a.pkg != "" {
			need(a.compiler(), a.pkg)
		} else if _, err := os.Stat(filepath.Join(zigDir, "ziglang")); err != nil {
			missing = append(missing, fmt.Errorf("%s needs Zig in ZIG_DIR, where make test-arch installs it: %w", a.name, err))
		}
	}
	if os.Geteuid() != 0 {
		missing = append(missing, errors.New("it must be run by root, for peers under other ids"))
	}
	return errors.Join(missing...)
}

// kernel tells the one that runs here.
func kernel() (string, error) {
	var name unix.Utsname
	err := unix.Uname(&name)
	return "Linux " + unix.ByteSliceToString(name.Release[:]), err
}
