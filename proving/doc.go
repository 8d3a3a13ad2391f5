// Package proving holds the programs that prove what go test cannot: that the tests notice
// changes, that the library holds under load, that it is right on other kernels, and that
// the C shims of other systems compile. Developers run them through the Makefile.
package proving
