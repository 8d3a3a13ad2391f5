package grpcpeer

import (
	"slices"
	"strings"
	"testing"

	"example.com/peercred/guard"
)

// FuzzMethods checks which rule decides for a method, whose name the client chooses. It is
// the method's own rule, otherwise the service's, and otherwise the rule for all.
func FuzzMethods(f *testing.F) {
	for _, method := range []string{
		"/p.S/M", "/p.S/N", "/p.T/M", "/", "", "p.S/M", "//p.S/M", "/p.S/M/", "/p.S/../p.T/M", "/p.S//M", "/P.s/m", "/p.S/\x00",
	} {
		f.Add(method)
	}
	rules := Rules{}
	for _, key := range []string{"/p.S/M", "/p.S/", "/p.T/", "/"} {
		rules[key] = guard.Func(key, nil)
	}
	all := rules.checked()
	without := Rules{"/p.S/M": all["/p.S/M"], "/p.S/": all["/p.S/"]}
	f.Fuzz(func(t *testing.T, method string) {
		parts := strings.Split(method, "/") // "/p.S/M" is "", "p.S" and "M"
		want := "/"
		if len(parts) == 3 && parts[0] == "" && slices.Contains([]string{"p.S", "p.T"}, parts[1]) {
			want = "/" + parts[1] + "/"
		}
		if method == "/p.S/M" {
			want = method
		}
		if got := all.of(method).String(); got != want {
			t.Errorf("%q has the rule %q, want %q", method, got, want)
		}
		if !strings.HasPrefix(want, "/p.S/") {
			want = unlisted.String()
		}
		if got := without.of(method).String(); got != want {
			t.Errorf("%q has the rule %q without one for all, want %q", method, got, want)
		}
	})
}
