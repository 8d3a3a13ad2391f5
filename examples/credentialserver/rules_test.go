//go:build unix && (cgo || (!android && !ios))

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred/guard"
)

func TestParseRulesText(t *testing.T) {
	minutes := duration(5 * time.Minute)
	for _, test := range []struct {
		text string
		want rulesText
	}{
		{"{}", rulesText{}},
		{" {\"users\": null}\n", rulesText{}},
		{`{"users": ["a", "b"], "groups": ["c"], "lifetime": "5m", "verifiers": {"users": ["d"], "groups": ["e"]}}`, rulesText{
			named: named{Users: []string{"a", "b"}, Groups: []string{"c"}}, Lifetime: &minutes,
			Verifiers: named{Users: []string{"d"}, Groups: []string{"e"}},
		}},
	} {
		got, err := parseRulesText([]byte(test.text))
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(rulesText{})); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", test.text, err, diff)
		}
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "it is empty",
		"null":                                 "want a JSON object",
		"[]":                                   "want a JSON object",
		`"users"`:                              "want a JSON object",
		"{":                                    "unexpected",
		`{"users"`:                             "unexpected",
		`{"users": [`:                          "unexpected",
		`{"users": ["a"`:                       "unexpected",
		"{}{}":                                 "something after",
		"{} x":                                 "something after",
		`{"user": ["a"]}`:                      `"user" is unknown`,
		`{"Users": []}`:                        `"Users" is unknown`,
		`{"u\u017fers": []}`:                   `is unknown`,
		`{"users": [], "users": []}`:           `"users" is there twice`,
		`{"verifiers": {"gid": 1}}`:            `"gid" is unknown`,
		`{"verifiers": {"lifetime": "1m"}}`:    `unknown field "lifetime"`,
		`{"verifiers": {"users":1,"users":1}}`: `"users" is there twice`,
		`{"users": "a"}`:                       "cannot unmarshal string",
		`{"users": [1]}`:                       "names in quotes",
		`{"users": [null]}`:                    "names in quotes",
		`{"users": [[]]}`:                      "names in quotes",
		`{"users": [{"users": []}]}`:           "names in quotes",
		`{"users": {"users": []}}`:             "cannot unmarshal object",
		`{"lifetime": 900}`:                    "cannot unmarshal number",
		`{"lifetime": "soon"}`:                 "invalid duration",
		`{"lifetime": ""}`:                     "invalid duration",
		`{"lifetime": "0s"}`:                   "the lifetime is 0s",
		`{"lifetime": "9.9s"}`:                 "the lifetime is 9.9s",
		`{"lifetime": "24h0m1s"}`:              "the lifetime is 24h0m1s",
		`{"lifetime": "-1h"}`:                  "the lifetime is -1h",
		`{"users": ["no such user"]}`:          `unknown user "no such user"`,
		`{"groups": ["no such group"]}`:        `unknown group "no such group"`,
		`{"verifiers": {"users": ["nope!"]}}`:  `verifiers: guard: unknown user "nope!"`,
		`{"verifiers": {"groups": ["no!"]}}`:   `verifiers: guard: unknown group "no!"`,
		`{"users": [""]}`:                      `unknown user ""`,
	} {
		r, err := parseRules([]byte(text))
		if r != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", text, r, err, want)
		}
	}
}

func TestLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`{}`:                   15 * time.Minute,
		`{"lifetime": null}`:   15 * time.Minute,
		`{"lifetime": "10s"}`:  10 * time.Second,
		`{"lifetime": "24h"}`:  24 * time.Hour,
		`{"lifetime": "1h1m"}`: 61 * time.Minute,
	} {
		if r, err := parseRules([]byte(text)); err != nil || r.lifetime != want {
			t.Errorf("%s: %+v, %v; want the lifetime %v", text, r, err, want)
		}
	}
}

// TestRulesLetIn asks the rules about this process, by user and by group.
func TestRulesLetIn(t *testing.T) {
	ours, _ := connect(t)
	group, err := user.LookupGroupId(itoa(os.Getegid()))
	if err != nil {
		t.Skip("our group has no name: ", err)
	}
	for _, test := range []struct {
		text             string
		users, verifiers bool
	}{
		{`{}`, false, false},
		{`{"users": [], "groups": []}`, false, false},
		{`{"users": ["` + me(t) + `"]}`, true, false},
		{`{"users": ["` + other(t) + `"]}`, false, false},
		{`{"groups": ["` + group.Name + `"]}`, true, false},
		{`{"users": ["` + other(t) + `"], "groups": ["` + group.Name + `"]}`, true, false},
		{`{"users": ["` + me(t) + `"], "verifiers": {"users": ["` + other(t) + `"]}}`, true, false},
		{`{"verifiers": {"users": ["` + me(t) + `"]}}`, false, true},
		{`{"verifiers": {"groups": ["` + group.Name + `"]}}`, false, true},
	} {
		r, err := parseRules([]byte(test.text))
		if err != nil {
			t.Error(err)
			continue
		}
		users, verifiers, anyone := r.users.Allow(ours.Peer()), r.verifiers.Allow(ours.Peer()), r.anyone().Allow(ours.Peer())
		if (users == nil) != test.users || (verifiers == nil) != test.verifiers || (anyone == nil) != (test.users || test.verifiers) {
			t.Errorf("%s: users %v, verifiers %v, anyone %v; want %+v", test.text, users, verifiers, anyone, test)
		}
	}
}

// other is a user who is not us.
func other(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"daemon", "root"} {
		if _, err := user.Lookup(name); err == nil && name != me(t) {
			return name
		}
	}
	t.Skip("there is no other user here")
	return ""
}

func TestReadOwnFile(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		make func(path string)
		want string // of the error, none if empty
	}{
		{"good", func(path string) { writeFile(t, path, "x", 0o644) }, ""},
		{"longest", func(path string) { writeFile(t, path, strings.Repeat(" ", maxRulesFile), 0o600) }, ""},
		{"too long", func(path string) { writeFile(t, path, strings.Repeat(" ", maxRulesFile+1), 0o600) }, "more than"},
		{"missing", func(string) {}, "no such file"},
		{"group writes", func(path string) { writeFile(t, path, "x", 0o620) }, "chmod go-w it"},
		{"world writes", func(path string) { writeFile(t, path, "x", 0o602) }, "chmod go-w it"},
		{"directory", func(path string) { must(t, os.Mkdir(path, 0o700)) }, "not a regular file"},
		{"fifo", func(path string) { must(t, unix.Mkfifo(path, 0o600)) }, "not a regular file"},
		{"link", func(path string) { must(t, os.Symlink(filepath.Join(dir, "good"), path)) }, ""},
		{"link to bad", func(path string) { must(t, os.Symlink(filepath.Join(dir, "world writes"), path)) }, "chmod go-w it"},
	} {
		path := filepath.Join(dir, test.name)
		test.make(path)
		text, err := readOwnFile(path)
		if test.want == "" && (err != nil || len(text) == 0) || test.want != "" && (text != nil || err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %d bytes, %v; want %q", test.name, len(text), err, test.want)
		}
	}
}

func TestReadFileOfStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	path := filepath.Join(t.TempDir(), "rules")
	writeFile(t, path, "x", 0o644)
	must(t, os.Chown(path, 1, 0))
	if text, err := readOwnFile(path); text != nil || err == nil || !strings.Contains(err.Error(), "belongs to uid 1") {
		t.Errorf("%q, %v; want a refusal", text, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzRules checks that accepted rules mean the same to a strict reader of JSON, and name
// nobody else.
func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"users": ["a", "b"], "groups": ["c"], "lifetime": "5m", "verifiers": {"users": ["d"], "groups": ["e"]}}`))
	f.Add([]byte(`{"users": null, "verifiers": null}`))
	f.Add([]byte(`{"users": [], "users": ["root"]}`))
	f.Add([]byte(`{"Users": ["root"]}`))
	f.Add([]byte(`{"verifiers": {"lifetime": "1m"}}{}`))
	f.Add([]byte(`{"groups": ["\ud800"], "lifetime": 1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseRulesText(text)
		if err != nil {
			if diff := cmp.Diff(rulesText{}, got, cmp.AllowUnexported(rulesText{})); diff != "" {
				t.Errorf("%q: %v, and rules:\n%s", text, err, diff)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatalf("%q is accepted, and %v", text, err)
		}
		verifiers, _ := plain["verifiers"].(map[string]any)
		for key := range plain {
			if !slices.Contains(ruleKeys, key) {
				t.Errorf("%q: the key %q is accepted", text, key)
			}
		}
		for key := range verifiers {
			if key != "users" && key != "groups" {
				t.Errorf("%q: the verifiers' key %q is accepted", text, key)
			}
		}
		for what, names := range map[string][2]any{
			"users":               {plain["users"], got.Users},
			"groups":              {plain["groups"], got.Groups},
			"verifiers of users":  {verifiers["users"], got.Verifiers.Users},
			"verifiers of groups": {verifiers["groups"], got.Verifiers.Groups},
		} {
			if want, got := fmt.Sprint(names[0]), fmt.Sprint(names[1]); want != got && (names[0] != nil || got != "[]") {
				t.Errorf("%q: %s are %s, want %s", text, what, got, want)
			}
		}
	})
}

// TestGrants has more rules that admit a peer than a token keeps.
func TestGrants(t *testing.T) {
	ours, _ := connect(t)
	var r rules
	var want []string
	for n := range 40 {
		rule := "rule " + itoa(n)
		r.eachUser = append(r.eachUser, guard.Func(rule, func(guard.Peer) error {
			if n%2 == 0 {
				return errors.New("another user")
			}
			return nil
		}))
		if n%2 == 1 && len(want) < 16 {
			want = append(want, rule)
		}
	}
	got := r.grants(ours.Peer())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		grants []string
		want   bool
	}{{got, true}, {got[15:], true}, {[]string{"rule 40", "rule 0"}, true}, {[]string{"rule 40"}, false}, {nil, false}} {
		if got := r.grantAny(test.grants); got != test.want {
			t.Errorf("grantAny(%q) = %v", test.grants, got)
		}
	}
	if (&rules{}).grantAny(got) {
		t.Error("rules that name nobody grant something")
	}
}
