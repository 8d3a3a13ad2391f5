//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// The profile that confines one executable, which the tests make themselves, and
// allows it everything: what it changes is the label alone.
const (
	confinedExecutable = "/tmp/peercred-confined"
	confinedLabel      = "peercred-confined (enforce)"
	profile            = "profile peercred-confined " + confinedExecutable + " { file, network, unix, capability, signal, ptrace, }"
)

// profileFile is the profile in the guest, as the kernel takes it.
const profileFile = "/profile.apparmor"

// The features that the profile is compiled for, instead of those of the kernel
// that runs here.
const features = "/etc/apparmor.d/abi/3.0"

func compileProfile(ctx context.Context, root string) error {
	parser := exec.CommandContext(ctx, "apparmor_parser", "--stdout", "--skip-kernel-load", "--skip-cache", "--features-file", features)
	parser.Stdin = strings.NewReader(profile)
	compiled, err := toolrun.Output(parser)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, profileFile), []byte(compiled), 0o644)
}

// loadProfile makes it that of the kernel, which is the guest's.
func loadProfile() error {
	compiled, err := os.ReadFile(profileFile)
	if err != nil {
		return err
	}
	// In one write, and without O_TRUNC or O_CREATE, which the file does not know.
	file, err := os.OpenFile("/sys/kernel/security/apparmor/.load", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(compiled); err != nil {
		return fmt.Errorf("load the profile of AppArmor: %w", err)
	}
	return nil
}
