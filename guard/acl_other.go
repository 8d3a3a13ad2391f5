//go:build unix && !linux

package guard

import "os"

// dropDefaultACL does nothing: the other systems have access control lists of other
// kinds, of which golang.org/x/sys tells nothing.
func dropDefaultACL(*os.File) error { return nil }
