package peercred

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
)

// Info tells, as data, what the answers of this package are worth on a system.
type Info struct {
	// System is the system, as runtime.GOOS names it.
	System string `json:"system"`
	// Implementation is the one that is linked, as [Implementation] names it.
	Implementation string `json:"implementation"`

	PID           Fact `json:"pid"`            // PeerCredentials.PID
	UID           Fact `json:"uid"`            // PeerCredentials.UID
	GID           Fact `json:"gid"`            // PeerCredentials.GID
	Groups        Fact `json:"groups"`         // GetPeerGroups
	SecurityLabel Fact `json:"security_label"` // GetPeerSecurityLabel
	Process       Fact `json:"process"`        // OpenPeerProcess
	AuditToken    Fact `json:"audit_token"`    // GetPeerAuditToken
}

// Fact tells what one answer is worth.
type Fact struct {
	// Available tells whether there is an answer. If there is none, all other fields but
	// Reason are zero.
	Available bool `json:"available"`
	// Reason says why there is none.
	Reason string `json:"reason,omitempty"`
	// Note says what else limits the answer.
	Note string `json:"note,omitempty"`
	// Call names the system's call.
	Call string `json:"call,omitempty"`
	// Server is the moment at which the answer about a client, on a server's accepted conn,
	// is captured.
	Server Moment `json:"server,omitempty"`
	// Client is the same for the answer about a server, on a client's conn. It is empty if
	// there is no such answer.
	Client Moment `json:"client,omitempty"`
	// Pair is the same for an end of a socketpair. It is empty if there is no such answer, or
	// if it is not known that there is one.
	Pair Moment `json:"pair,omitempty"`
	// SurvivesExit tells whether there is still an answer after the peer has closed its
	// socket, has ended, and has been reaped.
	SurvivesExit bool `json:"survives_exit"`
	// Limit is the largest number of groups that the kernel tells, counting the effective
	// one. 0 means no limit.
	Limit int `json:"limit,omitempty"`
}

// Moment is the moment at which an answer is captured. It decides what an answer is worth,
// and it differs between systems.
type Moment string

// The moments. All but the last two are in the past when the question is asked. Later
// changes of the peer do not show.
const (
	AtConnect    Moment = "connect"    // the peer's connect(2)
	AtListen     Moment = "listen"     // the server's listen(2)
	AtBind       Moment = "bind"       // the server's bind(2)
	AtSocketpair Moment = "socketpair" // socketpair(2)
	AtCreation   Moment = "creation"   // the creation of the peer's end
	AtLastUse    Moment = "last use"   // when a process last used the peer's end
	WhenAsked    Moment = "when asked" // now
)

// Support tells what each answer is worth on this system, with this kernel and the linked
// implementation. It asks the kernel about a socketpair of its own, which takes some system
// calls and at most three descriptors for a moment. A fact that cannot be asked for at that
// time, for example because no descriptor is left, is not available, and the error is its
// Reason. On systems where a socketpair shows nothing, Support tells what is documented.
//
// A Fact is no promise about a certain connection. It is safe for concurrent use.
func Support() Info {
	info := supportOn(runtime.GOOS, Implementation)
	if err := onSocketpair(info.probe); err != nil {
		info.settle(fmt.Errorf("the kernel could not be asked: socketpair: %w", err))
	}
	return info
}

// Facts yields the facts in the order of the fields, each with its name.
func (i Info) Facts() iter.Seq2[string, Fact] {
	return func(yield func(string, Fact) bool) {
		for _, f := range i.facts() {
			if !yield(f.name, *f.fact) {
				return
			}
		}
	}
}

// probe asks everything about one end of a socketpair.
func (i *Info) probe(fd int) {
	sure := everyPairAnswers(i.System)
	credentials, err := askCredentials(fd)
	i.UID.settle(err, sure)
	i.GID.settle(err, sure)
	i.PID.settle(err, sure)
	if i.PID.Available && err == nil && credentials.PID == 0 {
		i.PID = Fact{Reason: "this kernel does not report the pid"}
	}
	_, err = askGroups(fd)
	i.Groups.settle(err, sure)
	_, err = askSecurityLabel(fd)
	i.SecurityLabel.settle(err, sure)
	process, err := askProcess(fd)
	i.Process.settle(err, sure)
	discard(process)
	_, err = askAuditToken(fd)
	i.AuditToken.settle(err, sure)
}

// everyPairAnswers reports whether every kernel of the system answers about a
// socketpair. On OpenBSD kernels do since a release between r1.137 (2018) and r1.221
// (2025) of uipc_usrreq.c.
func everyPairAnswers(system string) bool { return system == "linux" || system == "android" }

// settle takes the same for every fact.
func (i *Info) settle(err error) {
	for _, f := range i.facts() {
		f.fact.settle(err, everyPairAnswers(i.System))
	}
}

// settle records the result of a probe. If the system answers about every socketpair,
// an error means that no answer is available now, for any reason. Otherwise the error
// may be due to the socketpair, and shows only that this socketpair got no answer.
func (f *Fact) settle(err error, everyPairAnswers bool) {
	var unavailable *ErrPeerCredentialsUnavailable
	switch {
	case !f.Available, err == nil:
	case errors.As(err, &unavailable):
		*f = Fact{Reason: unavailable.Reason}
	case everyPairAnswers:
		*f = Fact{Reason: err.Error()}
	default:
		f.Pair = ""
	}
}

// namedFact is a fact with the name that people know it by.
type namedFact struct {
	name string
	fact *Fact
}

func (i *Info) facts() []namedFact {
	return []namedFact{
		{"pid", &i.PID}, {"uid", &i.UID}, {"gid", &i.GID}, {"groups", &i.Groups},
		{"security label", &i.SecurityLabel}, {"process", &i.Process}, {"audit token", &i.AuditToken},
	}
}
