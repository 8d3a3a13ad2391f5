//go:build !unix

// Command credentialserver gives each local user temporary credentials of their own. It is
// for Unix: see main.go.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "credentialserver: %s does not report which user is at the other end of a socket; run it on Unix\n", runtime.GOOS)
	os.Exit(1)
}
