//go:build !cgo

package peercred

import "example.com/peercred/native"

// Implementation names the linked implementation: "cpeercred", the C shims, in
// a build with CGO_ENABLED=1, and "native", golang.org/x/sys, in one with
// CGO_ENABLED=0. Both give the same answers.
const Implementation = "native"

const (
	supported = native.Supported
	call      = native.Call
)

func credentials(fd int) (pid int32, uid, gid uint32, err error) { return native.Credentials(fd) }
func kind(fd int) (string, error)                                { return native.Kind(fd) }
func checkCanHavePeer(fd int) error                              { return native.CheckCanHavePeer(fd) }
func answersForCaller() (bool, error)                            { return native.AnswersForCaller() }
