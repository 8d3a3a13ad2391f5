package guard

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Policy decides which peers are let in, on facts that the kernel vouches for. The zero
// Policy lets in nobody, and neither does one that is made from an empty list. There is
// no default that admits. There is no negation either, since it would admit every peer
// that its author did not think of.
//
// A Policy is safe for concurrent use.
type Policy struct {
	rule   string
	decide func(Peer) error // nil admits, errRefused or a reason refuses
}

// Allow returns nil if peer is let in, and else *[Denied]. It is also *Denied if the
// policy cannot be decided: the system does not tell a fact that the rule needs, the rule
// panics, or peer is the zero Peer.
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
		return &Denied{Credentials: peer.Credentials(), Rule: p.String()}
	}
	return p.decideGuarded(peer)
}

// String returns the rule, for logs: "uid 1000 or 1001", or for a combination "any of
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
	ruleKnown  = "a known peer" // which every Policy demands
)

// decideGuarded turns a panic into an error. It does not ask what recover returns,
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

// denied looks into err, which may be of a foreign type that panics: a nil pointer,
// say. Whoever logs the refusal is to be spared that.
func (p Policy) denied(peer Peer, err error) *Denied {
	switch inner, ok := errors.AsType[*Denied](err); {
	case inner != nil:
		return inner // the rule that refused is the inner one
	case ok, err == errRefused:
		err = nil
	}
	if err != nil {
		_ = err.Error()
	}
	_, failed := errors.AsType[undecided](err)
	return &Denied{Credentials: peer.Credentials(), Rule: p.String(), Failed: failed, Err: err}
}

// errRefused is a refusal that needs no reason but the rule.
var errRefused = errors.New("refused")

// undecided is why a rule could not be decided.
type undecided struct{ error }

func (u undecided) Unwrap() error { return u.error }

// refuseUnless is the outcome of a rule that needs nothing to explain it.
func refuseUnless(ok bool) error {
	if !ok {
		return errRefused
	}
	return nil
}

// Nobody lets in nobody. It is for a server that is to refuse all: [Listen] and
// [NewListener] take the zero Policy for a mistake.
func Nobody() Policy { return Policy{ruleNobody, func(Peer) error { return errRefused }} }

// isZero tells a Policy that nobody made.
func (p Policy) isZero() bool { return p.rule == "" && p.decide == nil }

// UIDs lets in peers with one of these effective user ids.
//
// In a user namespace that does not map every id, as in a rootless container, the
// overflow id, 65534, stands for all ids that are not mapped. It is no user in
// particular, and so it is refused there, even if it is listed.
func UIDs(uids ...uint32) Policy {
	return uidPolicy("uid "+listed(uids), slices.Clone(uids))
}

func uidPolicy(rule string, uids []uint32) Policy {
	return Policy{rule, func(p Peer) error { return allowUID(p.conn.credentials.UID, uids) }}
}

func allowUID(uid uint32, uids []uint32) error {
	if !slices.Contains(uids, uid) {
		return errRefused
	}
	return checkMapped("uid", uid, overflow().uid)
}

// GIDs lets in peers with one of these as their effective group. That is the primary
// group, unless the peer took another, as newgrp(1) does. It does not look at supplementary
// groups, as [Groups] does. See [UIDs] for the overflow id.
func GIDs(gids ...uint32) Policy {
	gids = slices.Clone(gids)
	return Policy{"gid " + listed(gids), func(p Peer) error { return allowGID(p.conn.credentials.GID, gids) }}
}

func allowGID(gid uint32, gids []uint32) error {
	if !slices.Contains(gids, gid) {
		return errRefused
	}
	return checkMapped("gid", gid, overflow().gid)
}

// Groups lets in peers with one of these groups, as their effective group or as a
// supplementary one. If the system does not tell supplementary groups, only the effective
// group counts, and the refusal of other peers gives that reason. If it tells no more
// than 16, a peer whose group is left out is refused. See [UIDs] for the overflow id.
func Groups(gids ...uint32) Policy {
	return groupPolicy("group "+listed(gids), slices.Clone(gids))
}

func groupPolicy(rule string, gids []uint32) Policy {
	return Policy{rule, func(p Peer) error { return allowGroups(p, gids) }}
}

func allowGroups(p Peer, gids []uint32) error {
	if len(gids) == 0 {
		return errRefused
	}
	err := allowGID(p.conn.credentials.GID, gids)
	if err == nil {
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
		if groupErr != errRefused {
			err = groupErr
		}
	}
	return err
}

// PIDs lets in peers that had one of these process ids when they connected. A pid of 0
// means that the kernel does not tell it, and is refused, even if it is listed. Another
// process can get a pid as soon as its owner is reaped. So list only children that were
// not waited for yet. To decide on users is safer.
func PIDs(pids ...int32) Policy {
	pids = slices.Clone(pids)
	return Policy{"pid " + listed(pids), func(p Peer) error {
		pid := p.conn.credentials.PID
		if pid == 0 && len(pids) > 0 {
			return undecided{errors.New("the kernel does not tell the pid")}
		}
		return refuseUnless(slices.Contains(pids, pid))
	}}
}

// Labels lets in peers with one of these security labels. Labels are compared byte by
// byte, as a whole.
func Labels(labels ...string) Policy {
	labels = slices.Clone(labels)
	var quoted []string
	for _, label := range labels {
		quoted = append(quoted, strconv.Quote(label))
	}
	return Policy{"security label " + or(quoted), func(p Peer) error {
		if len(labels) == 0 {
			return errRefused
		}
		label, err := p.SecurityLabel()
		if err != nil {
			return undecided{fmt.Errorf("security label: %w", err)}
		}
		return refuseUnless(slices.Contains(labels, label))
	}}
}

// AllOf lets in peers that each of the policies lets in, and nobody if there is none.
// AllOf of one policy is that policy.
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
		return refuseUnless(len(policies) > 0)
	}}
}

// AnyOf lets in peers that at least one of the policies lets in, and nobody if there is
// none. A policy that cannot be decided does not keep another from admitting. AnyOf of
// one policy is that policy.
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
		return errRefused
	}}
}

// Func lets in peers for which allow returns nil. Rule is its name in logs and in
// [Counts]: do not make one for each peer. The error of allow is the reason of the refusal,
// and a *[Denied] in it, from another Policy, takes the place of this one's. A nil allow
// admits nobody, and a panic refuses. Allow must be safe for concurrent use, and must not
// end its goroutine, which is the caller's.
//
// Allow runs within Accept, and other peers wait for it. So it must not wait for what a
// hostile peer can delay, as the file of an executable. Decide on such things where the
// connection is served, with [Policy.Allow] and [Conn.Peer].
func Func(rule string, allow func(Peer) error) Policy { return Policy{rule, allow} }

// checkMapped refuses the overflow id where it stands for many.
func checkMapped(fact string, id uint32, overflow int64) error {
	if int64(id) != overflow {
		return nil
	}
	return undecided{fmt.Errorf("%s %d stands for every %[1]s that our user namespace does not map", fact, id)}
}

// listed is a list of numbers in words.
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
