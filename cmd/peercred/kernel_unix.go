//go:build unix && (cgo || (!android && !ios))

package main

import "golang.org/x/sys/unix"

// kernelRelease returns the release that uname(2) reports.
func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
