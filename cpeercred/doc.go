// Package cpeercred asks the kernel about the peer of a Unix socket, or of a TCP connection
// over loopback, through small C shims, one for each system.
//
// It is the plumbing of package peercred and carries no promise of compatibility: any
// release may change it. Use package peercred. The functions here take a raw descriptor,
// and check less of its state.
//
// It is one of two independent implementations. Package native has the same functions,
// through golang.org/x/sys. Both give the same values and the same errors for the same
// socket.
//
// An error is a bare errno (a [syscall.Errno]) or matches [errors.ErrUnsupported]. The errno
// is the kernel's own, or one of these:
//
//   - EBADF for a number that is not a descriptor.
//   - ENOTCONN if Linux answers with ids that mean "no peer".
//   - EAFNOSUPPORT for a socket of another family, except on Linux.
//   - EPROTO for an answer that does not have the form that the system's headers define.
//
// On an error every other result is zero. In a build without cgo every error matches
// errors.ErrUnsupported.
//
// All functions are safe for concurrent use as long as the descriptor stays open.
package cpeercred
