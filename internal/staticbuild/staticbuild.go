// Package staticbuild says how test programs are built that run where there are no
// libraries: in a machine that holds nothing else, or for another processor.
package staticbuild

// Setting is one of the two builds of the tests.
type Setting struct {
	CGO            string   // CGO_ENABLED
	Implementation string   // that it links
	Flags          []string // of go test
}

// Settings are both.
var Settings = []Setting{
	{"1", "cpeercred", []string{"-tags", "netgo,osusergo", "-ldflags", "-s -w -linkmode external -extldflags -static"}},
	{"0", "native", []string{"-ldflags", "-s -w"}},
}

// String is how it is asked for.
func (s Setting) String() string { return "CGO_ENABLED=" + s.CGO }
