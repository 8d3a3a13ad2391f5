package guard

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Policy decides which peers are admitted, based on facts that the kernel vouches for. The
// zero Policy denies every peer, and so does a Policy that is made from an empty list. No
// default admits anybody. There is no negation, because it would admit every peer that its
// author did not think of.
//
// A Policy is safe for concurrent use.
type Policy struct {
	rule   string
	decide func(Peer) error // nil admits; errDenied or a reason denies
}

// Allow returns nil if the policy admits peer, and *[Denied] otherwise. It also returns
// *Denied if the policy cannot decide: the system does not report a fact that the rule
// requires, the rule panics, or peer is the zero Peer.
func (p Policy) Allow(peer Peer) error {
	if denied := p.decideOn(peer); denied != nil {
		return denied
	}
	return nil
}

func (p Policy) decideOn(peer Peer) *Denied {
	switch {
	case peer.conn == nil:
		return &Denied{Rule: ruleKnown, Failed: true, Err: errZeroPeer}
	case p.decide == nil:
		return peer.denied(p.String(), false, nil)
	}
	return p.decideGuarded(peer)
}

// String returns the rule for logs, such as "uid 1000 or 1001". A combination reads "any of
// (uid 1000; gid 27)".
func (p Policy) String() string {
	if p.rule == "" {
		return ruleNobody
	}
	return p.rule
}

var errZeroPeer = errors.New("guard: there is no peer: it is the zero Peer")

const (
	ruleNobody = "nobody"       // of the zero Policy
	ruleKnown  = "a known peer" // every Policy requires it
)

// decideGuarded turns a panic into an error. It does not rely on the result of recover,
// which is nil for a panic(nil) under GODEBUG=panicnil=1.
func (p Policy) decideGuarded(peer Peer) (denied *Denied) {
	finished := false
	defer func() {
		if !finished {
			denied = p.denied(peer, undecided{fmt.Errorf("the rule panicked: %v", recover())})
		}
	}()
	if err := p.decide(peer); err != nil {
		denied = p.denied(peer, err)
	}
	finished = true
	return denied
}

// denied calls the methods of err, which may be of a foreign type that panics, such as a
// nil pointer. Such a panic happens here, where it is caught, and not in the code that logs
// the denial.
func (p Policy) denied(peer Peer, err error) *Denied {
	switch inner, ok := errors.AsType[*Denied](err); {
	case inner != nil:
		return inner // the rule that denied is the inner one
	case ok, err == errDenied:
		err = nil
	}
	if err != nil {
		_ = err.Error()
	}
	_, failed := errors.AsType[undecided](err)
	return peer.denied(p.String(), failed, err)
}

// errDenied is a denial that the rule alone explains.
var errDenied = errors.New("denied")

// undecided is why a rule could not decide.
type undecided struct{ error }

func (u undecided) Unwrap() error { return u.error }

// denyUnless returns errDenied unless ok.
func denyUnless(ok bool) error {
	if !ok {
		return errDenied
	}
	return nil
}

// Nobody denies every peer. It is for a server that must deny all: [Listen] and
// [NewListener] treat the zero Policy as a mistake.
func Nobody() Policy { return Policy{ruleNobody, func(Peer) error { return errDenied }} }

// isZero reports whether p is the zero Policy.
func (p Policy) isZero() bool { return p.rule == "" && p.decide == nil }

// UIDs admits peers with one of these effective user ids.
//
// A user namespace may not map every id, as in a rootless container. The overflow id,
// 65534, then stands for all ids that are not mapped. It does not identify a user, so it is
// denied there, even if it is listed.
func UIDs(uids ...uint32) Policy {
	return uidPolicy("uid "+listed(uids), slices.Clone(uids))
}

func uidPolicy(rule string, uids []uint32) Policy {
	return Policy{rule, func(p Peer) error { return allowUID(p.conn.uid, uids) }}
}

func allowUID(uid uint32, uids []uint32) error {
	if !slices.Contains(uids, uid) {
		return errDenied
	}
	return checkMapped("uid", uid, overflow().uid)
}

// GIDs admits peers whose effective group is one of these. The effective group is the
// primary group, unless the peer changed it, as newgrp(1) does. GIDs does not look at
// supplementary groups: see [Groups]. See [UIDs] for the overflow id.
func GIDs(gids ...uint32) Policy {
	gids = slices.Clone(gids)
	return Policy{"gid " + listed(gids), func(p Peer) error {
		if len(gids) == 0 {
			return errDenied
		}
		gid, err := p.gid()
		if err != nil {
			return undecided{err}
		}
		return allowGID(gid, gids)
	}}
}

func allowGID(gid uint32, gids []uint32) error {
	if !slices.Contains(gids, gid) {
		return errDenied
	}
	return checkMapped("gid", gid, overflow().gid)
}

// Groups admits peers that have one of these groups, as their effective group or as a
// supplementary group. If the system does not report supplementary groups, only the
// effective group counts, and a denial says so. If the system reports at most 16 groups, a
// peer is denied if its group is left out. See [UIDs] for the overflow id.
func Groups(gids ...uint32) Policy {
	return groupPolicy("group "+listed(gids), slices.Clone(gids))
}

func groupPolicy(rule string, gids []uint32) Policy {
	return Policy{rule, func(p Peer) error { return allowGroups(p, gids) }}
}

func allowGroups(p Peer, gids []uint32) error {
	if len(gids) == 0 {
		return errDenied
	}
	gid, err := p.gid()
	if err != nil {
		return undecided{err}
	}
	if err = allowGID(gid, gids); err == nil {
		return nil
	}
	groups, groupsErr := p.groups()
	if groupsErr != nil {
		return undecided{fmt.Errorf("supplementary groups: %w", groupsErr)}
	}
	for _, gid := range groups {
		groupErr := allowGID(gid, gids)
		if groupErr == nil {
			return nil
		}
		if groupErr != errDenied {
			err = groupErr
		}
	}
	return err
}

// PIDs admits peers that had one of these process ids when they connected. A pid of 0 means
// that the kernel does not report the pid. It is denied, even if it is listed. Another
// process can get a pid as soon as its owner is reaped. So list only children that you have
// not waited for yet. A decision on users is safer.
func PIDs(pids ...int32) Policy {
	pids = slices.Clone(pids)
	return Policy{"pid " + listed(pids), func(p Peer) error {
		if len(pids) == 0 {
			return errDenied
		}
		pid, err := p.pid()
		if err == nil && pid == 0 {
			err = errors.New("the kernel does not report the pid")
		}
		if err != nil {
			return undecided{err}
		}
		return denyUnless(slices.Contains(pids, pid))
	}}
}

// Labels admits peers with one of these security labels. Labels are compared as a whole,
// byte by byte.
func Labels(labels ...string) Policy {
	labels = slices.Clone(labels)
	var quoted []string
	for _, label := range labels {
		quoted = append(quoted, strconv.Quote(label))
	}
	return Policy{"security label " + or(quoted), func(p Peer) error {
		if len(labels) == 0 {
			return errDenied
		}
		label, err := p.SecurityLabel()
		if err != nil {
			return undecided{fmt.Errorf("security label: %w", err)}
		}
		return denyUnless(slices.Contains(labels, label))
	}}
}

// AllOf admits peers that every one of the policies admits. Without policies it admits
// nobody. AllOf of one policy is that policy.
func AllOf(policies ...Policy) Policy {
	if len(policies) == 1 {
		return policies[0]
	}
	policies = slices.Clone(policies)
	return Policy{combined("all of", policies), func(p Peer) error {
		for _, policy := range policies {
			if err := policy.Allow(p); err != nil {
				return err
			}
		}
		return denyUnless(len(policies) > 0)
	}}
}

// AnyOf admits peers that at least one of the policies admits. Without policies it admits
// nobody. If one policy cannot decide, another can still admit the peer. AnyOf of one
// policy is that policy.
func AnyOf(policies ...Policy) Policy {
	if len(policies) == 1 {
		return policies[0]
	}
	policies = slices.Clone(policies)
	return Policy{combined("any of", policies), func(p Peer) error {
		var reasons []error
		for _, policy := range policies {
			denied := policy.decideOn(p)
			if denied == nil {
				return nil
			}
			if denied.Failed {
				reasons = append(reasons, undecided{fmt.Errorf("%s: %w", denied.Rule, denied.Err)})
			}
		}
		if len(reasons) > 0 {
			return errors.Join(reasons...)
		}
		return errDenied
	}}
}

// Func admits peers for which allow returns nil. The rule is its name in logs and in
// [Counts], so do not make a new one for each peer. The error of allow is the reason of the
// denial. If that error wraps a *[Denied] of another Policy, that Denied is the result. A
// nil allow admits nobody, and a panic denies the peer. Allow must be safe for concurrent
// use. It runs in the goroutine of the caller, and must not end it.
//
// Allow runs within Accept, and other peers wait for it. So it must not wait for anything
// that a hostile peer can delay, such as the file of an executable. Decide on such facts
// where the connection is served, with [Policy.Allow] and [Conn.Peer].
func Func(rule string, allow func(Peer) error) Policy { return Policy{rule, allow} }

// checkMapped denies the overflow id if it stands for many ids.
func checkMapped(fact string, id uint32, overflow int64) error {
	if int64(id) != overflow {
		return nil
	}
	return undecided{fmt.Errorf("%s %d stands for every %[1]s that our user namespace does not map", fact, id)}
}

// listed returns the numbers as "1 or 2".
func listed[T int32 | uint32](numbers []T) string {
	var texts []string
	for _, n := range numbers {
		texts = append(texts, strconv.FormatInt(int64(n), 10))
	}
	return or(texts)
}

func or(texts []string) string {
	if len(texts) == 0 {
		return "in an empty list"
	}
	return strings.Join(texts, " or ")
}

func combined(how string, policies []Policy) string {
	var rules []string
	for _, p := range policies {
		rules = append(rules, p.String())
	}
	return how + " (" + strings.Join(rules, "; ") + ")"
}
