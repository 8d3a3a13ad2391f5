package cpeercred

import "errors"

// unsupportedError is the reason why the system does not answer. It is
// errors.ErrUnsupported.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

func (e unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// untold is why a system, or this build, does not answer about fact.
func untold(fact string) error {
	return unsupportedError("the system does not tell the " + fact + " of a socket's peer")
}
