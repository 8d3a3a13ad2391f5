//go:build !cgo

package cpeercred

// linked reports whether this build has the C shims.
const linked = false
