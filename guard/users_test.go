package guard

import (
	"errors"
	"os/user"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A name whose look-up fails is not parsed as a number.
func TestIDsThatCannotBeLookedUp(t *testing.T) {
	for _, test := range []struct {
		text string
		err  error
		want int
	}{
		{"", nil, 5}, {"alice", nil, 7}, {"12", nil, 7},
		{"12", user.UnknownUserError("12"), 12}, {"12", user.UnknownGroupError("12"), 12},
		{"alice", user.UnknownUserError("alice"), -2}, {"12", syscall.EIO, -2}, {"-1", user.UnknownUserError("-1"), -2},
		{"010", user.UnknownUserError("010"), -2}, {"00", user.UnknownUserError("00"), -2}, {"0", user.UnknownUserError("0"), 0},
		{"010", nil, 7}, // it is somebody's name
		{"010", syscall.EIO, -2}, {"0x10", user.UnknownUserError("0x10"), -2}, {"1_0", user.UnknownUserError("1_0"), -2},
		{"+5", user.UnknownUserError("+5"), -2},
		{"4294967295", user.UnknownUserError("4294967295"), -2}, {"4294967296", user.UnknownUserError("4294967296"), -2},
	} {
		got, err := idOf(test.text, 5, func(string) (uint32, error) { return 7, test.err })
		if err != nil {
			got = -2
		}
		if got != test.want {
			t.Errorf("%q, of which the look-up says %v: %d, %v, want %d", test.text, test.err, got, err, test.want)
		}
	}
}

// A look-up that fails does not say that the name is unknown.
func TestLookUpThatFails(t *testing.T) {
	_, err := lookUp("user", "/etc/passwd", "alice", user.UnknownUserError("alice"), func() (string, error) { return "", syscall.EIO })
	if isUnknown(err) || !errors.Is(err, syscall.EIO) {
		t.Errorf("lookUp = %v, want EIO, and not that the user is unknown", err)
	}
}

// The user database has decimal numbers, even if they begin with zeros.
func TestParseID(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint32
		ok   bool
	}{
		{"0", 0, true}, {"10", 10, true}, {"010", 10, true}, {"4294967294", 1<<32 - 2, true},
		{"", 0, false}, {"0x10", 0, false}, {"1_0", 0, false}, {"-1", 0, false}, {"+1", 0, false}, {" 1", 0, false},
		{"4294967295", 0, false}, {"4294967296", 0, false}, {"S-1-5-18", 0, false},
	} {
		if got, err := parseID("user", "alice", test.text); got != test.want || (err == nil) != test.ok {
			t.Errorf("parseID of %q = %d, %v, want %d, and an error: %v", test.text, got, err, test.want, !test.ok)
		}
	}
}

// In a build that reads files, the error for an unknown name says so.
func TestUnknownNameSaysWhereElse(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("needs a system with /etc/passwd")
	}
	defer func(saved bool) { readsFiles = saved }(readsFiles)
	for _, readsFiles = range []bool{false, true} {
		_, err := Users("no-such-name-here")
		for _, want := range []string{"/etc/passwd alone", "cgo", "LDAP, SSSD"} {
			if err == nil || strings.Contains(err.Error(), want) != readsFiles {
				t.Errorf("%v, want %q in it: %v", err, want, readsFiles)
			}
		}
	}
}

// A build that reads files takes the uid from the file. Other builds trust os/user.
func TestUIDOfAUser(t *testing.T) {
	defer func(saved bool) { readsFiles = saved }(readsFiles)
	stranger := &user.User{Username: "no-such-name-here", Uid: "7"}
	readsFiles = false
	if uid, err := uidOf(stranger); uid != "7" || err != nil {
		t.Errorf("uidOf = %q, %v, want 7", uid, err)
	}
	readsFiles = true
	if uid, err := uidOf(stranger); uid != "" || err == nil {
		t.Errorf("uidOf = %q, %v, want an error", uid, err)
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
