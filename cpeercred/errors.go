package cpeercred

import "errors"

// unsupportedError says why the system, or this build, does not answer. It matches
// errors.ErrUnsupported.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

func (e unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// These are arguments of untold that are not the name of a fact.
const (
	ids    = "uid and gid"
	handle = "handle"
	owner  = "owner"
	sender = "sender"
)

// untold returns the error for a fact that the system, or this build, does not report.
func untold(fact string) error {
	switch {
	case !linked:
		return unsupportedError("no C shim is linked (CGO_ENABLED=0)")
	case fact == handle:
		return unsupportedError("the system has no handle on the process of a socket's peer")
	case fact == owner:
		return unsupportedError("the system does not report the uid of a loopback TCP peer")
	case fact == sender:
		return unsupportedError("the system does not report the sender of a message")
	}
	return unsupportedError("the system does not report the " + fact + " of a socket's peer")
}
