//go:build !unix

package native

// Supported reports whether this system has a call for [Credentials].
const Supported = false

type system struct{ unsupported }
