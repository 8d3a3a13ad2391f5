//go:build !cgo

package peercred_test

const linkedImplementation = "native"

// implementations are those that this build has. Without cgo there is one, which the tests
// compare with what they expect.
var implementations = []implementation{nativeFunctions}
