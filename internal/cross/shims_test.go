//go:build linux && (cgo || !android)

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShimCheck(t *testing.T) {
	s := shim{"s", []string{"getsockopt", "close"}, []string{"memset"}}
	for name, test := range map[string]struct {
		refers []string
		want   string
	}{
		"all that it may":      {[]string{"getsockopt", "close", "memset", "__error"}, ""},
		"what it must":         {[]string{"getsockopt", "close"}, ""},
		"nothing":              {nil, "it does not call getsockopt\nit does not call close"},
		"not the call":         {[]string{"close", "memset"}, "it does not call getsockopt"},
		"another call":         {[]string{"getsockopt", "close", "getuid"}, "it refers to getuid"},
		"another libc's":       {[]string{"getsockopt", "close", "__errno"}, "it refers to __errno"},
		"another in its place": {[]string{"getuid", "close"}, "it does not call getsockopt\nit refers to getuid"},
	} {
		got := ""
		if err := s.check(test.refers, "__error"); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProgramCompare(t *testing.T) {
	good := imports{"/usr/libexec/ld.so", []string{"libpthread.so.28.0", "libc.so.102.0"}, []string{"write", "getsockopt"}}
	for name, test := range map[string]struct {
		change func(*imports)
		want   string
	}{
		"good":                  {func(*imports) {}, ""},
		"another system's":      {func(i *imports) { i.interpreter = "/libexec/ld-elf.so.1" }, `its interpreter is "/libexec/ld-elf.so.1", want "/usr/libexec/ld.so"`},
		"no libc":               {func(i *imports) { i.libraries = i.libraries[:1] }, `it needs the libraries ["libpthread.so.28.0"], want libc.so among them`},
		"the call is not there": {func(i *imports) { i.calls = i.calls[:1] }, "it does not import getsockopt"},
	} {
		told, got := good, ""
		test.change(&told)
		if err := abis["openbsd"].compare(told); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
