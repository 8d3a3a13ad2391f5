package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
)

// peerWith is a peer about which everything is known.
func peerWith(credentials peercred.PeerCredentials, groups []uint32, label string) Peer {
	c := &Conn{uid: credentials.UID, credentials: &credentials}
	c.known().groups.settle(groups, nil)
	c.known().label.settle(label, nil)
	c.peer = Peer{c}
	return c.peer
}

var errUntold = &peercred.ErrPeerCredentialsUnavailable{Platform: "test", Reason: "not told"}

// reticent is a peer about which only the ids are known.
func reticent(uid, gid uint32) Peer {
	c := &Conn{uid: uid, credentials: &peercred.PeerCredentials{UID: uid, GID: gid}}
	c.known().groups.settle(nil, errUntold)
	c.known().label.settle("", errUntold)
	c.peer = Peer{c}
	return c.peer
}

// verdict is what is expected of a policy.
type verdict struct {
	rule   string // "" for a peer that is admitted
	failed bool
}

func verdictOf(t *testing.T, err error) verdict {
	t.Helper()
	if err == nil {
		return verdict{}
	}
	denied, ok := errors.AsType[*Denied](err)
	if !ok {
		t.Fatalf("%v is no *Denied", err)
	}
	if denied.Failed && denied.Err == nil {
		t.Errorf("%v: it failed for no reason", err)
	}
	return verdict{denied.Rule, denied.Failed}
}

func TestPolicies(t *testing.T) {
	admit := Func("admit", func(Peer) error { return nil })
	refuse := Func("refuse", func(Peer) error { return errors.New("no") })
	panics := Func("panics", func(Peer) error { panic("out of order") })
	alice := peerWith(peercred.PeerCredentials{PID: 7, UID: 1000, GID: 100}, []uint32{27, 4}, "a label")
	root := peerWith(peercred.PeerCredentials{PID: 1}, []uint32{}, "kernel")
	nobody := Peer{}
	in := verdict{}
	for _, test := range []struct {
		name   string
		policy Policy
		peer   Peer
		want   verdict
	}{
		{"the zero policy", Policy{}, root, verdict{rule: "nobody"}},
		{"the zero peer", admit, nobody, verdict{rule: "a known peer", failed: true}},
		{"the zero peer is not root", UIDs(0), nobody, verdict{rule: "a known peer", failed: true}},

		{"its uid", UIDs(1000), alice, in},
		{"one of its uids", UIDs(0, 1000), alice, in},
		{"another uid", UIDs(0, 1), alice, verdict{rule: "uid 0 or 1"}},
		{"no uid", UIDs(), root, verdict{rule: "uid in an empty list"}},
		{"uid against gid", UIDs(100), alice, verdict{rule: "uid 100"}},
		{"root", UIDs(0), root, in},
		{"not root", UIDs(0), alice, verdict{rule: "uid 0"}},

		{"its gid", GIDs(5, 100), alice, in},
		{"a supplementary group is no gid", GIDs(27), alice, verdict{rule: "gid 27"}},
		{"no gid", GIDs(), root, verdict{rule: "gid in an empty list"}},

		{"group: the effective one", Groups(100), alice, in},
		{"group: the first supplementary one", Groups(27), alice, in},
		{"group: the last supplementary one", Groups(1, 4), alice, in},
		{"group: none of them", Groups(0, 1000), alice, verdict{rule: "group 0 or 1000"}},
		{"group: empty list", Groups(), alice, verdict{rule: "group in an empty list"}},
		{"group: empty list, none told", Groups(), reticent(0, 0), verdict{rule: "group in an empty list"}},
		{"group: not told, but the effective one is right", Groups(5), reticent(1, 5), in},
		{"group: not told", Groups(5), reticent(1, 6), verdict{rule: "group 5", failed: true}},

		{"its pid", PIDs(7), alice, in},
		{"another pid", PIDs(8), alice, verdict{rule: "pid 8"}},
		{"pid 0 is not told", PIDs(7), reticent(0, 0), verdict{rule: "pid 7", failed: true}},
		{"pid 0 is never admitted", PIDs(0), reticent(0, 0), verdict{rule: "pid 0", failed: true}},
		{"no pid", PIDs(), reticent(0, 0), verdict{rule: "pid in an empty list"}},

		{"its label", Labels("b", "a label"), alice, in},
		{"a part of its label", Labels("a"), alice, verdict{rule: `security label "a"`}},
		{"a label that goes on", Labels("a label "), alice, verdict{rule: `security label "a label "`}},
		{"no label", Labels(), alice, verdict{rule: "security label in an empty list"}},
		{"no label, none told", Labels(), reticent(0, 0), verdict{rule: "security label in an empty list"}},
		{"a label that is not told", Labels(""), reticent(0, 0), verdict{rule: `security label ""`, failed: true}},

		{"all of none", AllOf(), root, verdict{rule: "all of ()"}},
		{"all of them", AllOf(UIDs(1000), Groups(27)), alice, in},
		{"all but the first", AllOf(UIDs(0), Groups(27)), alice, verdict{rule: "uid 0"}},
		{"all but the last", AllOf(UIDs(1000), GIDs(27)), alice, verdict{rule: "gid 27"}},
		{"all, and the zero one", AllOf(UIDs(1000), Policy{}), alice, verdict{rule: "nobody"}},
		{"all, and one that fails", AllOf(panics, UIDs(1000)), alice, verdict{rule: "panics", failed: true}},

		{"any of none", AnyOf(), root, verdict{rule: "any of ()"}},
		{"the first", AnyOf(UIDs(1000), UIDs(0)), alice, in},
		{"the last", AnyOf(UIDs(0), UIDs(1000)), alice, in},
		{"none of them", AnyOf(UIDs(0), GIDs(0)), alice, verdict{rule: "any of (uid 0; gid 0)"}},
		{"the zero one alone", AnyOf(Policy{}), root, verdict{rule: "nobody"}},
		{"one alone", AnyOf(UIDs(0)), alice, verdict{rule: "uid 0"}},
		{"one alone, all of it", AllOf(UIDs(0)), alice, verdict{rule: "uid 0"}},
		{"one alone, which admits", AnyOf(AllOf(UIDs(1000))), alice, in},
		{"one alone, which fails", AnyOf(panics), alice, verdict{rule: "panics", failed: true}},
		{"one that fails does not keep another out", AnyOf(panics, Labels("x"), UIDs(1)), reticent(1, 1), in},
		{"one that fails, and none admits", AnyOf(UIDs(0), panics), alice, verdict{rule: "any of (uid 0; panics)", failed: true}},

		{"a function that admits", admit, alice, in},
		{"a function that denies", refuse, alice, verdict{rule: "refuse"}},
		{"a function that panics", panics, alice, verdict{rule: "panics", failed: true}},
		{"a nil function", Func("nil", nil), root, verdict{rule: "nil"}},
		{"a function that asks another policy", Func("outer", UIDs(0).Allow), alice, verdict{rule: "uid 0"}},
		{"a function that wraps a denial", Func("outer", func(p Peer) error {
			return fmt.Errorf("as configured: %w", UIDs(0).Allow(p))
		}), alice, verdict{rule: "uid 0"}},
		{"a function that returns a nil *Denied", Func("odd", func(Peer) error { return (*Denied)(nil) }), root, verdict{rule: "odd"}},
		{"a function that returns a nil error of another type", Func("odd", func(Peer) error { return (*fs.PathError)(nil) }), root, verdict{rule: "odd", failed: true}},
		{"a function whose error panics", Func("odd", func(Peer) error { return panicError{} }), root, verdict{rule: "odd", failed: true}},
		{"a rule without a name", Func("", Nobody().Allow), root, verdict{rule: "nobody"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.policy.Allow(test.peer)
			got := verdictOf(t, err)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if denied, ok := errors.AsType[*Denied](err); ok {
				if diff := cmp.Diff(test.peer.Credentials(), denied.Credentials); diff != "" {
					t.Errorf("the denial's credentials (-want +got):\n%s", diff)
				}
				if text := err.Error(); !strings.Contains(text, strconv.Quote(got.rule)) {
					t.Errorf("%q does not name the rule", text)
				}
			}
		})
	}
}

// Only the zero Policy counts as a mistake. A combination of one policy is that policy.
func TestZeroPolicy(t *testing.T) {
	needCredentials(t)
	for n, test := range []struct {
		policy Policy
		want   bool
	}{
		{Policy{}, true}, {AllOf(Policy{}), true}, {AnyOf(Policy{}), true},
		{Nobody(), false}, {Func("nil", nil), false}, {Func("", UIDs(0).Allow), false}, {AllOf(), false}, {AnyOf(), false},
	} {
		listener, err := NewListener(&script{}, Config{Policy: test.policy, ReceiveDescriptors: true})
		if err == nil {
			listener.Close()
		}
		if got := errors.Is(err, syscall.EINVAL) && strings.Contains(err.Error(), "no Policy"); got != test.want || err != nil && !got {
			t.Errorf("%d, %v: %v, want an error: %v", n, test.policy, err, test.want)
		}
	}
}

// panicError panics whenever it is asked.
type panicError struct{}

func (panicError) Error() string { panic("out of order") }

// The list that a policy was made from can change, and the policy does not.
func TestPoliciesCopy(t *testing.T) {
	ids, pids, labels, policies := []uint32{1}, []int32{1}, []string{"a"}, []Policy{UIDs(1), UIDs(1)}
	made := []Policy{UIDs(ids...), GIDs(ids...), Groups(ids...), PIDs(pids...), Labels(labels...), AllOf(policies...), AnyOf(policies...)}
	ids[0], pids[0], labels[0], policies[0], policies[1] = 2, 2, "b", UIDs(2), UIDs(2)
	peer := peerWith(peercred.PeerCredentials{PID: 2, UID: 2, GID: 2}, []uint32{2}, "b")
	for _, policy := range made {
		if policy.Allow(peer) == nil {
			t.Errorf("%v admits what it did not list", policy)
		}
	}
}

// A denial because of a missing fact names the fact.
func TestDeniedNamesTheFact(t *testing.T) {
	peer := reticent(1, 2)
	for fact, policy := range map[string]Policy{
		"supplementary groups": Groups(5), "security label": Labels("x"), "pid": PIDs(7),
	} {
		denied, ok := errors.AsType[*Denied](policy.Allow(peer))
		if !ok || !denied.Failed || !strings.Contains(denied.Err.Error(), fact) {
			t.Errorf("%v: %+v, want a failure that names %s", policy, denied, fact)
		}
	}
}

// A denial wraps its reason.
func TestDeniedUnwraps(t *testing.T) {
	err := Labels("a").Allow(reticent(1, 1))
	unavailable, ok := errors.AsType[*peercred.ErrPeerCredentialsUnavailable](err)
	if !ok || unavailable != errUntold || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v does not wrap why the fact is not reported", err)
	}
	reason := errors.New("a reason")
	if err := Func("f", func(Peer) error { return reason }).Allow(reticent(1, 1)); !errors.Is(err, reason) {
		t.Errorf("%v does not wrap the function's error", err)
	}
}

func TestDeniedIsNothingElse(t *testing.T) {
	err := UIDs(0).Allow(reticent(1, 1))
	for target, want := range map[error]bool{fs.ErrPermission: true, fs.ErrNotExist: false, errors.ErrUnsupported: false} {
		if got := errors.Is(err, target); got != want {
			t.Errorf("errors.Is(a denial, %v) = %v, want %v", target, got, want)
		}
	}
}

func TestDeniedInLogs(t *testing.T) {
	var log strings.Builder
	hook := LogDenied(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
	for _, err := range []error{
		UIDs(0).Allow(reticent(1, 2)),
		Labels("a\nb").Allow(reticent(1, 2)),
		UIDs(0).Allow(Peer{}),
	} {
		denied, _ := errors.AsType[*Denied](err)
		hook(denied)
	}
	want := `level=WARN msg="peer denied" denied.peer.pid=0 denied.peer.uid=1 denied.peer.gid=2 denied.rule="uid 0" denied.failed=false
level=WARN msg="peer denied" denied.peer.pid=0 denied.peer.uid=1 denied.peer.gid=2 denied.rule="security label \"a\\nb\"" denied.failed=true denied.reason="security label: peer credentials unavailable on test: not told"
level=WARN msg="peer denied" denied.peer=<nil> denied.rule="a known peer" denied.failed=true denied.reason="guard: there is no peer: it is the zero Peer"
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for peer, want := range map[Peer]string{
		reticent(1, 2): `peer denied, pid=0 uid=1 gid=2, by the rule "uid 0"`,
		{}:             `peer denied, by the rule "a known peer": guard: there is no peer: it is the zero Peer`,
	} {
		if got := UIDs(0).Allow(peer).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// CurrentUser compares only the uid, whatever group newgrp(1) gave the peer.
func TestCurrentUser(t *testing.T) {
	if os.Geteuid() < 0 {
		if CurrentUser().Allow(reticent(0, 0)) == nil {
			t.Error("somebody is admitted where there are no users")
		}
		return
	}
	ours := uint32(os.Geteuid())
	policy := CurrentUser()
	if err := policy.Allow(reticent(ours, uint32(os.Getegid())+1)); err != nil {
		t.Errorf("our user under another group: %v", err)
	}
	if err := policy.Allow(reticent(ours+1, uint32(os.Getegid()))); err == nil {
		t.Error("another user under our group is admitted")
	}
	if want := "the current user, uid " + strconv.Itoa(int(ours)); policy.String() != want {
		t.Errorf("it is called %q, want %q", policy, want)
	}
}

func TestNamesAreResolved(t *testing.T) {
	if os.Geteuid() < 0 {
		t.Skip("this system has no numeric ids")
	}
	root, err := user.LookupId("0")
	if err != nil {
		t.Skipf("needs a user with the id 0: %v", err)
	}
	group, err := user.LookupGroupId("0")
	if err != nil {
		t.Skipf("needs a group with the id 0: %v", err)
	}
	const unknown = "no-such-name-here"
	for _, test := range []struct {
		name string
		make func(...string) (Policy, error)
		list []string
		rule string // "" for an error
		err  error  // and its text
	}{
		{"a user", Users, []string{root.Username}, "user " + root.Username + "(0)", nil},
		{"a group", GroupNames, []string{group.Name}, "group " + group.Name + "(0)", nil},
		{"no user", Users, nil, "user in an empty list", nil},
		{"no group", GroupNames, nil, "group in an empty list", nil},
		{"an unknown user", Users, []string{root.Username, unknown}, "", user.UnknownUserError(unknown)},
		{"an unknown group", GroupNames, []string{group.Name, unknown}, "", user.UnknownGroupError(unknown)},
		{"a number is no name", Users, []string{"0"}, "", user.UnknownUserError("0")},
		{"an empty name", Users, []string{""}, "", user.UnknownUserError("")},
		{"a user, and what C does not see", Users, []string{root.Username + "\x00x"}, "", user.UnknownUserError(root.Username + "\x00x")},
		{"a group, and what C does not see", GroupNames, []string{group.Name + "\x00x"}, "", user.UnknownGroupError(group.Name + "\x00x")},
	} {
		policy, err := test.make(test.list...)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
		if err != nil {
			kind := map[bool]string{true: "group", false: "user"}[strings.Contains(test.name, "group")]
			name := test.list[len(test.list)-1]
			want := fmt.Sprintf("guard: unknown %s %q", kind, name)
			if name != "" && !strings.Contains(name, "\x00") {
				want += whereElse("/etc/" + map[string]string{"user": "passwd", "group": "group"}[kind])
			}
			if err.Error() != want {
				t.Errorf("%s: %q, want %q", test.name, err, want)
			}
		}
		if (err == nil) != (test.rule != "") || test.rule != "" && policy.String() != test.rule {
			t.Errorf("%s: %v, %v, want %q", test.name, policy, err, test.rule)
		}
		let := err == nil && len(test.list) > 0
		if got := policy.Allow(reticent(0, 0)) == nil; got != let {
			t.Errorf("%s: root is admitted: %v, want %v", test.name, got, let)
		}
		if policy.Allow(reticent(1, 1)) == nil {
			t.Errorf("%s: a user other than root is admitted", test.name)
		}
	}
}

// A caller can change the values that it gets. The Peer's own values stay the same.
func TestPeerIsNotChangedByCallers(t *testing.T) {
	p := peerWith(peercred.PeerCredentials{PID: 7, UID: 1000, GID: 100}, []uint32{27}, "a")
	p.Credentials().UID = 0
	groups, err := p.Groups()
	if err != nil {
		t.Fatal(err)
	}
	groups[0] = 0
	if UIDs(0).Allow(p) == nil || Groups(0).Allow(p) == nil {
		t.Error("a caller made the peer root")
	}
}

func TestNoPeer(t *testing.T) {
	var p Peer
	groups, groupsErr := p.Groups()
	label, labelErr := p.SecurityLabel()
	process, processErr := p.Process()
	if p.Credentials() != nil || groups != nil || label != "" || process != nil {
		t.Errorf("the zero Peer is %v, %v, %q, %v", p.Credentials(), groups, label, process)
	}
	for _, err := range []error{groupsErr, labelErr, processErr} {
		if err == nil {
			t.Error("the zero Peer has a fact")
		}
	}
	if p.String() != "<nil>" || p.LogValue().Any() != nil {
		t.Errorf("the zero Peer is %q and %v in logs", p, p.LogValue())
	}
}

// A question that panics has no answer, even if it is asked again.
func TestFactThatPanics(t *testing.T) {
	var f fact[[]uint32]
	for range 2 {
		func() {
			defer func() { _ = recover() }()
			f.of(nil, nil)
		}()
		if got, err := f.of(nil, nil); got != nil || err == nil {
			t.Errorf("%v, %v, want an error", got, err)
		}
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	peer := peerWith(peercred.PeerCredentials{PID: 7, UID: 1000, GID: 100}, []uint32{27}, "a")
	policy := AnyOf(UIDs(1000), Labels("x"))
	if n := testing.AllocsPerRun(100, func() {
		if policy.Allow(peer) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("to admit a peer takes %v allocations", n)
	}
}
