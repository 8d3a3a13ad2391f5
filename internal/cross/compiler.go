//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What go calls as CC: this command again, as "cross cc TRIPLE ARGUMENTS". The rest
// it is told in the environment, so that Go's build cache knows CC again.
const (
	compilerCommand = "cc"
	zigVariable     = "PEERCRED_CROSS_ZIG"
	sdkVariable     = "PEERCRED_CROSS_SDK"
)

// becomeCompiler executes Zig with what Go means for another compiler.
func becomeCompiler(arguments []string) error {
	zig, sdk, triple := os.Getenv(zigVariable), os.Getenv(sdkVariable), arguments[0]
	command := []string{zig, "cc", "-target", triple, "-Wno-unused-command-line-argument"}
	if strings.HasSuffix(triple, "-macos") {
		command = append(command, "-L"+filepath.Join(sdk, libraries), "-F"+filepath.Join(sdk, frameworks))
	}
	for _, a := range arguments[1:] {
		switch a { // what other linkers take
		case "-Wl,-nopie":
			command = append(command, "-no-pie")
		case "-Wl,--no-execute-only", "-fuse-ld=bfd":
		case "-Wl,--version": // Go asks whether it is GNU's, and goes on without an answer
			return errors.New("this linker is Zig's")
		default:
			command = append(command, a)
		}
	}
	return syscall.Exec(zig, command, os.Environ())
}
