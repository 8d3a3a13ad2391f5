//go:build solaris || aix

package guard

import (
	"context"
	"os"
)

// lockDirectory does nothing: on these systems flock(2) does not lock directories.
func lockDirectory(context.Context, *os.File) (unlock func(), err error) { return func() {}, nil }
