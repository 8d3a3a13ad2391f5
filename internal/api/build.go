//go:build cgo || (!android && !ios)

package main

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// build is one way of compiling a module.
type build struct {
	name        string
	environment []string
}

// buildsFor are those of this machine, with cgo and without, and then others.
func buildsFor(ports, cgoPorts []string, zig string) ([]build, error) {
	here := runtime.GOOS + "/" + runtime.GOARCH
	var builds []build
	add := func(port, cgo string, more ...string) error {
		system, processor, ok := strings.Cut(port, "/")
		if !ok {
			return fmt.Errorf("%q is not GOOS/GOARCH", port)
		}
		builds = append(builds, build{port + " with CGO_ENABLED=" + cgo,
			append([]string{"GOOS=" + system, "GOARCH=" + processor, "CGO_ENABLED=" + cgo}, more...)})
		return nil
	}
	for _, cgo := range []string{"1", "0"} {
		if err := add(here, cgo); err != nil {
			return nil, err
		}
	}
	for _, port := range ports {
		if err := add(port, "0"); err != nil {
			return nil, err
		}
	}
	for _, pair := range cgoPorts {
		port, target, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not GOOS/GOARCH=TARGET", pair)
		}
		compiler := "CC=" + zig + " cc -target " + target + " -Wno-unused-command-line-argument"
		if err := add(port, "1", compiler); err != nil {
			return nil, err
		}
	}
	return builds, nil
}

// features compiles the module in folder and returns what its packages export.
func (b build) features(folder string) ([]string, error) {
	// The compiler's own export data, so that what comes from C headers has its type.
	list, err := b.list(folder, "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}")
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for _, line := range list {
		path, file, _ := strings.Cut(line, "\t")
		files[path] = file
	}
	compiled := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(files[path])
	})
	packages, err := b.list(folder, "-f", `{{if ne .Name "main"}}{{.ImportPath}}{{end}}`)
	if err != nil {
		return nil, err
	}
	var features []string
	for _, path := range packages {
		if slices.Contains(strings.Split(path, "/"), "internal") {
			continue
		}
		pkg, err := compiled.Import(path)
		if err != nil {
			return nil, err
		}
		features = append(features, featuresOf(pkg)...)
	}
	slices.Sort(features)
	return slices.Compact(features), nil
}

// list runs go list on all packages of the module in folder.
func (b build) list(folder string, arguments ...string) ([]string, error) {
	cmd := exec.Command("go", append(append([]string{"list"}, arguments...), "./...")...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), b.environment...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd, err, &stderr)
	}
	return strings.FieldsFunc(stdout.String(), func(r rune) bool { return r == '\n' }), nil
}
