//go:build linux && (cgo || !android)

package main

import "testing"

// Every acceptance is of a mutant that there is.
func TestAcceptedAreThere(t *testing.T) {
	why, err := reasons()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	for _, s := range subjects {
		sources, _, err := s.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range sources {
			for _, m := range source.mutants {
				delete(why, m.identity)
			}
		}
	}
	for i := range why {
		t.Errorf("accepted, and not there: %v", i)
	}
}
