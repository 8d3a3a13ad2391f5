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
	// Available tells whether there is an answer at all. Where there is none the
	// fields but Reason and Basis are zero.
	Available bool `json:"available"`
	// Reason says why there is none.
	Reason string `json:"reason,omitempty"`
	// Note says what else limits the answer.
	Note string `json:"note,omitempty"`
	// Call names the system's call.
	Call string `json:"call,omitempty"`
	// IDs is "effective" for uid and gid, since no system tells the real ones, and
	// empty for all else.
	IDs string `json:"ids,omitempty"`
	// Server is as of when a server's accepted conn tells about the client.
	Server Moment `json:"server,omitempty"`
	// Client is as of when a client's conn tells about the server; empty where it
	// is not answered.
	Client Moment `json:"client,omitempty"`
	// Pair is as of when an end of a socketpair tells about the other; empty where
	// it is not answered, or where we do not know that it is.
	Pair Moment `json:"pair,omitempty"`
	// SurvivesExit tells whether the question is still answered after the peer has
	// closed its socket, has ended, and has been reaped.
	SurvivesExit bool `json:"survives_exit"`
	// Limit is the largest number of groups that the kernel tells, the effective
	// one counted; 0 for no limit.
	Limit int `json:"limit,omitempty"`
	// Basis is how all this is known.
	Basis Basis `json:"basis"`
}

// Moment is as of when an answer is true.
type Moment string

// The moments. All but the last two are in the past when the question is asked,
// and what the peer does afterwards does not show.
const (
	AtConnect    Moment = "connect"    // the peer's connect(2)
	AtListen     Moment = "listen"     // the server's listen(2)
	AtBind       Moment = "bind"       // the server's bind(2)
	AtSocketpair Moment = "socketpair" // socketpair(2)
	AtCreation   Moment = "creation"   // when the peer's end came into being
	AtLastUse    Moment = "last use"   // when a process last used the peer's end
	WhenAsked    Moment = "when asked" // now
)

// Basis is how it is known whether there is an answer.
type Basis string

const (
	// Probed: the running kernel was asked about a socket of our own.
	Probed Basis = "probed"
	// CompiledIn: this build has, or lacks, the call; the kernel was asked, but a
	// socketpair shows nothing on this system.
	CompiledIn Basis = "compiled in"
	// Documented: it is known from the system's manual or source.
	Documented Basis = "documented"
)

// Support tells what each answer is worth on this system, with this kernel and the
// linked implementation. It asks the kernel about a socketpair of its own, which
// takes some system calls and up to three descriptors for a moment. What cannot be
// asked then (for want of descriptors, say) is not available, with that reason; where
// a socketpair shows nothing, Support tells what is compiled in. Whether there is an
// answer about a certain connection is for the question itself to say: a Fact is no
// promise.
//
// When and how ids are captured is known from documentation, see the package's
// own. It is safe for concurrent use.
func Support() Info {
	info := supportOn(runtime.GOOS, Implementation)
	for _, f := range info.facts() {
		f.fact.Basis = CompiledIn
	}
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
		i.PID = Fact{Reason: "this kernel does not tell the pid", Basis: Probed}
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
	case !f.Available:
	case err == nil:
		f.Basis = Probed
	case errors.As(err, &unavailable):
		*f = Fact{Reason: unavailable.Reason, Basis: Probed}
	case everyPairAnswers:
		*f = Fact{Reason: err.Error(), Basis: Probed}
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
