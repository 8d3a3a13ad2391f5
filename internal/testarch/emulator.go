//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A test binary starts itself anew: under other ids, in other namespaces, under
// strace. Where a processor is emulated the kernel must know what to do with such
// an execve, which is binfmt_misc. Since Linux 6.7 a user namespace can have its
// own, so that nothing of this machine changes. The namespace maps every id to
// itself, and its root may do what the tests need of the machine's.

// emulate makes cmd run its binary where the kernel hands it, and all others of its
// kind, to emulator. It starts this program, which enters below.
func emulate(cmd *exec.Cmd, emulator string) error {
	binary := cmd.Path
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd.Path = self
	cmd.Args = append([]string{self, enterCommand, emulator, binary}, cmd.Args[1:]...)
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: int(ids)}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings:                all,
		GidMappings:                all,
		GidMappingsEnableSetgroups: true,
	}
	return nil
}

// ids is how many there are. It takes a machine of 64 bits, where an int holds it.
var ids uint32 = math.MaxUint32

const enterCommand = "enter"

// enter is this program in the new namespaces. It becomes the binary.
func enter(emulator string, command []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	const binfmt = "/proc/sys/fs/binfmt_misc"
	if err := unix.Mount("binfmt_misc", binfmt, "binfmt_misc", 0, ""); err != nil {
		return fmt.Errorf("mount binfmt_misc in a user namespace, which Linux can since 6.7: %w", err)
	}
	rule, err := binfmtRule(command[0], emulator)
	if err != nil {
		return err
	}
	if err := os.WriteFile(binfmt+"/register", []byte(rule), 0); err != nil {
		return fmt.Errorf("register %s: %w", emulator, err)
	}
	return fmt.Errorf("%s: %w", command[0], unix.Exec(command[0], command, os.Environ()))
}

// binfmtRule is for binaries of the same class, byte order and machine as this one
// (elf(5), and the kernel's binfmt-misc.rst).
func binfmtRule(binary, emulator string) (string, error) {
	file, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	defer file.Close()
	var header [20]byte // up to e_machine
	if _, err := file.ReadAt(header[:], 0); err != nil {
		return "", err
	}
	var magic, mask strings.Builder
	for i, b := range header {
		same := byte(0)
		if i < 6 || i >= 18 {
			same = 0xff
		}
		fmt.Fprintf(&magic, `\x%02x`, b&same)
		fmt.Fprintf(&mask, `\x%02x`, same)
	}
	// F: the emulator is opened now. P: it is told argv[0].
	return fmt.Sprintf(":peercred:M:0:%s:%s:%s:FP", &magic, &mask, emulator), nil
}
