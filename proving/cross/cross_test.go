package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCheckCalls(t *testing.T) {
	calls := []string{"getsockopt", "socket"}
	for _, test := range []struct {
		name       string
		needs, has []string
		want       string
	}{
		{"all that it may", []string{"getsockopt", "__socket30", "__aeabi_memclr8", "__error", "_gp_disp", ""}, nil, ""},
		{"what another object has", []string{"getsockopt", "socket", "cpeercred_kind"}, []string{"cpeercred_kind"}, ""},
		{"what no object has", []string{"getsockopt", "socket", "cpeercred_kind"}, nil, "an object refers to cpeercred_kind"},
		{"nothing", nil, nil, "no object calls getsockopt\nno object calls socket"},
		{"another call", []string{"getsockopt", "socket", "getuid"}, nil, "an object refers to getuid"},
		{"another in its place", []string{"getuid", "socket", "getuid"}, nil, "no object calls getsockopt\nan object refers to getuid"},
		{"its own in its place", []string{"getsockopt", "socket"}, []string{"socket"}, "no object calls socket"},
	} {
		if diff := cmp.Diff(test.want, errorText(checkCalls(calls, test.needs, test.has))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestCheckLinkage(t *testing.T) {
	good := symbols{needs: []string{"getsockopt"}, has: []string{"cpeercred_credentials"}, libraries: []string{"libpthread.so.28.0", "libc.so.102.0"}}
	for name, test := range map[string]struct {
		change func(*symbols)
		want   string
	}{
		"good":                  {func(*symbols) {}, ""},
		"no libc":               {func(s *symbols) { s.libraries = s.libraries[:1] }, `it needs the libraries ["libpthread.so.28.0"], want libc.so among them`},
		"the call is not there": {func(s *symbols) { s.needs = nil }, "it does not import getsockopt"},
		"nor the shim":          {func(s *symbols) { s.has = nil }, "it has no cpeercred_credentials"},
	} {
		program := good
		test.change(&program)
		if diff := cmp.Diff(test.want, errorText(program.checkLinkage("libc.so"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// An object of this machine's compiler, and a program.
func TestReadSymbols(t *testing.T) {
	dir := t.TempDir()
	source, object, program := filepath.Join(dir, "close.c"), filepath.Join(dir, "close"), filepath.Join(dir, "program")
	const text = "int close(int);\nint shim(int fd);\nint shim(int fd) { return close(fd); }\nint main(void) { return shim(3); }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"-c", "-o", object, source}, {"-o", program, source}} {
		if _, err := run(dir, nil, "cc", arguments...); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{object, program} {
		got, err := readSymbols(path)
		if err != nil || !slices.Contains(got.needs, "close") || !slices.Contains(got.has, "shim") || slices.Contains(got.has, "close") {
			t.Errorf("%s: %+v, %v, want that it needs close and has shim", path, got, err)
		}
	}
	if got, err := readSymbols(source); err == nil {
		t.Errorf("a source: %+v, want an error", got)
	}
}

// Every shim is one of a system in the list, and every system in it finds its shims.
func TestEveryShimIsOfASystem(t *testing.T) {
	folder := filepath.Join("..", "..", "cpeercred")
	*sources = folder
	found := map[string]bool{}
	for _, s := range systems {
		if s.targets == "" {
			continue
		}
		files, err := s.shims()
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			found[file] = true
		}
	}
	all, err := filepath.Glob(filepath.Join(folder, "*.c"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no shim in %s: %v", folder, err)
	}
	for _, file := range all {
		if !found[file] {
			t.Errorf("no system in systems.go compiles %s", file)
		}
	}
}
