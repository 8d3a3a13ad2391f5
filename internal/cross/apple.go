//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// Zig has macOS's libSystem, where libc is, and no other library. Go's packages net
// and crypto/x509 want three more of every program: of these there are stubs, which
// name what Go imports and nothing that the shims could call.
const (
	appleLibraries = "the system's own headers and libSystem, and stubs of libresolv, CoreFoundation and Security"

	libraries  = "usr/lib"
	frameworks = "System/Library/Frameworks"
)

var stubbed = map[string]string{ // by install name
	"/usr/lib/libresolv.9.dylib": libraries + "/libresolv.tbd",
	"/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation": frameworks + "/CoreFoundation.framework/CoreFoundation.tbd",
	"/System/Library/Frameworks/Security.framework/Versions/A/Security":             frameworks + "/Security.framework/Security.tbd",
}

const stub = `--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '%s'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ %s ]
...
`

func writeAppleStubs(ctx context.Context, sdk string) error {
	imports, err := appleImports(ctx)
	if err != nil {
		return err
	}
	for library, name := range stubbed {
		path := filepath.Join(sdk, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		symbols := slices.Sorted(maps.Keys(imports[library]))
		if len(symbols) == 0 {
			return fmt.Errorf("no package of Go imports from %s any more", library)
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, stub, library, strings.Join(symbols, ", ")), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var importDirective = regexp.MustCompile(`(?m)^//go:cgo_import_dynamic \S+ (\S+) "(/\S+)"`)

// appleImports are the symbols that Go's own packages import, by install name.
func appleImports(ctx context.Context) (map[string]map[string]bool, error) {
	root, err := toolrun.Output(exec.CommandContext(ctx, "go", "env", "GOROOT"))
	if err != nil {
		return nil, err
	}
	imports := map[string]map[string]bool{}
	for _, pattern := range []string{"internal/syscall/unix/*_darwin.go", "crypto/x509/internal/macos/*.go"} {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(root), "src", pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for _, m := range importDirective.FindAllStringSubmatch(string(text), -1) {
				symbol, library := "_"+m[1], m[2]
				if imports[library] == nil {
					imports[library] = map[string]bool{}
				}
				imports[library][symbol] = true
			}
		}
	}
	return imports, nil
}
