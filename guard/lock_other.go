//go:build solaris || aix

package guard

import (
	"context"
	"os"
)

// lockDirectory does nothing: these systems lock no directory with flock(2).
func lockDirectory(context.Context, *os.File) (unlock func(), err error) { return func() {}, nil }
