//go:build linux

package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every accepted mutant exists. The error for a stale one lists the mutants that read the
// same in other functions, because it may be one of those now.
func TestAcceptedExist(t *testing.T) {
	accepted, err := parseAccepted(acceptedText)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("the C compiler says which code of the shims is compiled here: ", err)
	}
	t.Chdir("../..")
	others := map[string][]string{} // by package, expression and change
	key := func(name string) string {
		function, change, _ := strings.Cut(name, ": ")
		pkg, _, _ := strings.Cut(function, " ")
		return pkg + " " + change
	}
	for _, s := range subjects {
		sources, err := s.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range number(s.name, sources) {
			if name := m.String(); accepted[name] != "" {
				delete(accepted, name)
			} else {
				others[key(name)] = append(others[key(name)], m.position()+" "+name)
			}
		}
	}
	for name := range accepted {
		t.Errorf("stale: %s\n\t%s", name, strings.Join(others[key(name)], "\n\t"))
	}
}

func TestParseAccepted(t *testing.T) {
	for _, test := range []struct{ text, wantError string }{
		{"# why\np f: a => b => true, false\n", ""},
		{"p f: a => true\n", "accepted.txt: no change, or no reason: p f: a => true"},
		{"# why\n\np f: a => true\n", "accepted.txt: no change, or no reason: p f: a => true"},
		{"# why\np f: a\n", "accepted.txt: no change, or no reason: p f: a"},
		{"# why\np f: a => true\n# for another reason\np f: a => false, true\n", "accepted.txt: twice: p f: a => true"},
	} {
		got, err := parseAccepted(test.text)
		if test.wantError != "" {
			if err == nil || err.Error() != test.wantError {
				t.Errorf("%q: %v, want %s", test.text, err, test.wantError)
			}
		} else if diff := cmp.Diff(map[string]string{"p f: a => b => true": "why", "p f: a => b => false": "why"}, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", test.text, err, diff)
		}
	}
}
