// Package native asks the kernel for the credentials of a Unix socket's peer
// through golang.org/x/sys, without cgo.
//
// It is one of peercred's two independent implementations; package cpeercred
// answers the same functions through C shims. Use package peercred, which
// links one of the two, unless you hold a raw descriptor and know its state:
// the functions here take a descriptor at its word (see [Credentials]).
//
// Every error is an errno (a [syscall.Errno]): the kernel's own, or EBADF for what
// no descriptor can be, ENOTCONN for the ids with which Linux says that there is no
// peer, EPROTO for an answer that the kernel did not fill as its headers say; or one
// for which
// errors.Is(err, errors.ErrUnsupported) holds. On an error every other result
// is zero. All functions are safe for concurrent use, as long as nobody closes
// the descriptor under them.
package native
