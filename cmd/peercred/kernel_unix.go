//go:build unix && (cgo || (!android && !ios))

package main

import "golang.org/x/sys/unix"

// kernelRelease is uname(2)'s release.
func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
