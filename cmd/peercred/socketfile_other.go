//go:build !unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime"
)

// listenAtPath refuses: the command could show nobody here, and the care that a
// socket file needs is for systems with Unix permissions.
func listenAtPath(string, fs.FileMode) (net.Listener, error) {
	return nil, fmt.Errorf("%s has no credentials to show: %w", runtime.GOOS, errors.ErrUnsupported)
}
