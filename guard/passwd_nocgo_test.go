//go:build unix && !android && ((!cgo && !darwin) || osusergo)

package guard

import (
	"strings"
	"testing"
)

// A build that reads files says so of a name that it does not find.
func TestUnknownNameSaysWhereElse(t *testing.T) {
	_, err := Users("no-such-name-here")
	for _, want := range []string{"/etc/passwd alone", "cgo", "LDAP, SSSD"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

func TestInPasswd(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\n#alice:x:7:\n\nalice:x:1000:1000::/:\nalice:x:1001:1001::/:\nbob\neve:x\n+bob::::::"
	for _, test := range []struct {
		name, uid string
		ok        bool
	}{
		{"root", "0", true}, {"alice", "1000", true}, {"+bob", "", true}, // which is no number
		{"roo", "", false}, {"bob", "", false}, {"bob\n", "", false}, {"eve", "", false}, {"", "", false}, {"x", "", false}, {"0", "", false},
	} {
		if uid, ok := inPasswd(passwd, test.name); uid != test.uid || ok != test.ok {
			t.Errorf("%q has %q, %v, want %q, %v", test.name, uid, ok, test.uid, test.ok)
		}
	}
}
