package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		got := ""
		if err := checkCalls(calls, test.needs, test.has); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// Every shim belongs to a system in the list, and every system in the list has shims.
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
