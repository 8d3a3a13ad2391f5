//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// setting is how a program is built: CGO_ENABLED picks one of the two
// implementations.
type setting struct{ name, cgo string }

var (
	native   = setting{"native", "0"}
	cgo      = setting{"cgo", "1"}
	settings = []setting{native, cgo}
)

// The programs of this module that are built, in both settings.
const (
	workerProgram = "worker"
	aloneProgram  = "hello/alone"
	askingProgram = "hello/asking"
)

// build builds a program into dir, and returns its path.
func build(dir, program string, s setting, flags ...string) (string, error) {
	path := filepath.Join(dir, filepath.Base(program)+"."+s.name)
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", path}, flags...), "./internal/"+program)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+s.cgo, "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return path, nil
}

// buildAll builds a program in both settings.
func buildAll(dir, program string, flags ...string) (map[setting]string, error) {
	paths := map[setting]string{}
	for _, s := range settings {
		path, err := build(dir, program, s, flags...)
		if err != nil {
			return nil, err
		}
		paths[s] = path
	}
	return paths, nil
}
