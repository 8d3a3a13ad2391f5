package cpeercred

import "errors"

// unsupportedError is the reason why the system does not answer. It is
// errors.ErrUnsupported.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

func (e unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// unsupported is the error of what the system, or this build, does not answer.
func unsupported(reason string) error {
	if !linked {
		reason = "no C shim is linked (CGO_ENABLED=0)"
	}
	return unsupportedError(reason)
}

// untold is unsupported for a fact.
func untold(fact string) error {
	return unsupported("the system does not tell the " + fact + " of a socket's peer")
}
