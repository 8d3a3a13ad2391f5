// Package proving holds programs for developers, which the Makefile runs. They check that
// the tests notice changes, that the library works under load and on other kernels, and
// that the C shims of other systems compile.
package proving
