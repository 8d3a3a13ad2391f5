// Package toolrun runs the tools that the programs of the make targets call.
package toolrun

import (
	"bytes"
	"fmt"
	"os/exec"
)

// Output runs cmd for its stdout; what it prints is part of the error.
func Output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s%s", cmd, err, &stdout, &stderr)
	}
	return stdout.String(), nil
}
