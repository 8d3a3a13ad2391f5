//go:build !cgo || !(linux || darwin || freebsd || dragonfly || solaris)

package cpeercred

// GroupsCall names the system's call behind [Groups]: here there is none.
const GroupsCall = "none"

// Groups always fails here, with an error that is errors.ErrUnsupported.
func Groups(int) ([]uint32, error) { return nil, untold("groups") }
