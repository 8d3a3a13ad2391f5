//go:build cgo

package peercred

import "example.com/peercred/cpeercred"

// Implementation names the linked implementation: "cpeercred", the C shims, in
// a build with CGO_ENABLED=1, and "native", golang.org/x/sys, in one with
// CGO_ENABLED=0. Both give the same answers.
const Implementation = "cpeercred"

const (
	supported = cpeercred.Supported
	call      = cpeercred.Call
)

func credentials(fd int) (pid int32, uid, gid uint32, err error) { return cpeercred.Credentials(fd) }
func kind(fd int) (string, error)                                { return cpeercred.Kind(fd) }
func checkCanHavePeer(fd int) error                              { return cpeercred.CheckCanHavePeer(fd) }
func answersForCaller() (bool, error)                            { return cpeercred.AnswersForCaller() }
