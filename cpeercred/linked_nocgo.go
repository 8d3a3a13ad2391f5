//go:build !cgo

package cpeercred

// linked tells whether this build has the C shims.
const linked = false
