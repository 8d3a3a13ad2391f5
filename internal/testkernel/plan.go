//go:build linux && (cgo || !android)

package main

// plan is what the host tells the guest, in planFile.
type plan struct {
	Environment []string
	Runs        []run
}

// run is one test binary.
type run struct {
	Setting   string // CGO_ENABLED=1 or 0
	Package   string
	Binary    string // its path in the guest
	Arguments []string
}

const planFile = "/plan.json"

// What the guest tells the host, each on a line of its own between the tests'
// output. A run is told by its index.
const (
	mark       = "@testkernel: "
	kernelLine = mark + "kernel %s with security modules %s"
	startLine  = mark + "run %d starts"
	exitLine   = mark + "run %d exits with %d"
	endLine    = mark + "end"
)
