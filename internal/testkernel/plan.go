//go:build linux && (cgo || !android)

package main

import "slices"

// plan is what the host tells the guest, in planFile.
type plan struct {
	Environment      []string
	NoUserNamespaces bool
	AppArmorProfiles []byte // as the kernel takes them, if any
	SELinuxPolicy    []byte // the same
	Runs             []run
}

// run is one test binary.
type run struct {
	Setting   string // CGO_ENABLED=1 or 0
	Package   string
	Binary    string // its path in the guest
	Arguments []string
}

// only returns the same runs, of the tests that match filter and not leavesOut.
func only(filter, leavesOut string, runs []run) (some []run) {
	for _, r := range runs {
		r.Arguments = append(slices.Clone(r.Arguments), "-test.run="+filter, "-test.skip="+leavesOut)
		some = append(some, r)
	}
	return some
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
