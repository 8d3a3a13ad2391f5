//go:build !cgo || !linux

package cpeercred

// SecurityLabelCall names the system's call behind [SecurityLabel]: here there is
// none.
const SecurityLabelCall = "none"

// SecurityLabel always fails here, with an error that is errors.ErrUnsupported.
func SecurityLabel(int) (string, error) { return "", untold("security label") }
