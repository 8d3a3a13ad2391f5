//go:build !unix

package native

// Supported tells whether this system has a call that answers [Credentials].
const Supported = false

// Call names the kernel's call behind [Credentials]: here there is none.
const Call = "none"

const errUnsupported = unsupportedError("the system does not tell the uid and gid of a socket's peer")

// Credentials always fails here, with an error that is errors.ErrUnsupported.
// Windows tells at most a pid (SIO_AF_UNIX_GETPEERPID), Plan 9 has no Unix
// sockets, and js and wasip1 imitate them in memory.
func Credentials(int) (pid int32, uid, gid uint32, err error) { return 0, 0, 0, errUnsupported }

// Kind always fails here, with an error that is errors.ErrUnsupported.
func Kind(int) (kind string, err error) { return "", errUnsupported }

// CheckCanHavePeer always fails here, with an error that is
// errors.ErrUnsupported.
func CheckCanHavePeer(int) error { return errUnsupported }

// Listens always fails here, with an error that is errors.ErrUnsupported.
func Listens(int) (bool, error) { return false, errUnsupported }

// AnswersForCaller always fails here, with an error that is
// errors.ErrUnsupported.
func AnswersForCaller() (bool, error) { return false, errUnsupported }

// OnSocketpair always fails here, with an error that is errors.ErrUnsupported.
func OnSocketpair(func(fd int)) error { return errUnsupported }
