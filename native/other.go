//go:build !unix

package native

// Supported tells whether this system has a call that answers [Credentials].
const Supported = false

type system struct{ unsupported }
