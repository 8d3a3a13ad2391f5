//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"example.com/peercred"
)

// FuzzText checks the line about a peer that chooses its label, within its policy, and its
// executable. It is one line with a fixed number of fields, has no command for the terminal,
// and shows the values.
func FuzzText(f *testing.F) {
	f.Add("unconfined", "/usr/bin/x")
	f.Add("", "")
	f.Add("-[1]", "/a b")
	f.Add("a uid=0", "/x\n  [1] uid=0")
	f.Add("\x1b[2J\u202e", "/\xff\"\\")
	f.Fuzz(func(t *testing.T, label, executable string) {
		p := peer{PeerCredentials: &peercred.PeerCredentials{PID: 1, UID: 2, GID: 3}, Label: label, Executable: executable}
		text := p.text(&footnotes{})
		for _, r := range text {
			if !unicode.IsGraphic(r) || (unicode.IsSpace(r) && r != ' ') {
				t.Errorf("%q has %q in it", text, r)
			}
		}
		want := fmt.Sprintf("pid=1 uid=2 gid=3 groups=none label=%s exe=%s start=0001-01-01T00:00:00Z", quoted(label), quoted(executable))
		if text != want {
			t.Errorf("%q, want %q", text, want)
		}
		for _, chosen := range []string{label, executable} {
			shown := quoted(chosen)
			said := shown
			if strings.HasPrefix(shown, `"`) {
				var err error
				if said, err = strconv.Unquote(shown); err != nil {
					t.Errorf("%s: %v", shown, err)
				}
			} else if shown == "" || strings.Contains(shown, " ") || strings.HasPrefix(shown, "-") {
				t.Errorf("%q is shown as %s, which can be mistaken for something else", chosen, shown)
			}
			if said != chosen {
				t.Errorf("%q is shown as %s", chosen, shown)
			}
		}
	})
}
