//go:build !cgo || !unix

package cpeercred

// Supported tells whether this build has a call that answers [Credentials].
const Supported = false

// Call names the kernel's call behind [Credentials]: here there is none.
const Call = "none"

// Credentials always fails here, with an error that is errors.ErrUnsupported.
func Credentials(int) (pid int32, uid, gid uint32, err error) { return 0, 0, 0, untold("uid and gid") }

// Kind always fails here, with an error that is errors.ErrUnsupported.
func Kind(int) (kind string, err error) { return "", untold("uid and gid") }

// CheckCanHavePeer always fails here, with an error that is
// errors.ErrUnsupported.
func CheckCanHavePeer(int) error { return untold("uid and gid") }

// Listens always fails here, with an error that is errors.ErrUnsupported.
func Listens(int) (bool, error) { return false, untold("uid and gid") }

// AnswersForCaller always fails here, with an error that is
// errors.ErrUnsupported.
func AnswersForCaller() (bool, error) { return false, untold("uid and gid") }

// OnSocketpair always fails here, with an error that is errors.ErrUnsupported.
func OnSocketpair(func(fd int)) error { return untold("uid and gid") }
