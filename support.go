package peercred

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
)

// Info describes which facts this package can get on a system, and how reliable each is.
type Info struct {
	// System is the system, as runtime.GOOS names it.
	System string `json:"system"`
	// Implementation is the linked implementation, as [Implementation] names it.
	Implementation string `json:"implementation"`

	PID           Fact `json:"pid"`            // PeerCredentials.PID
	UID           Fact `json:"uid"`            // PeerCredentials.UID
	GID           Fact `json:"gid"`            // PeerCredentials.GID
	Groups        Fact `json:"groups"`         // GetPeerGroups
	SecurityLabel Fact `json:"security_label"` // GetPeerSecurityLabel
	Process       Fact `json:"process"`        // OpenPeerProcess
	AuditToken    Fact `json:"audit_token"`    // GetPeerAuditToken
	LoopbackUID   Fact `json:"loopback_uid"`   // GetLoopbackPeerUID
	Sender        Fact `json:"sender"`         // Receiver
}

// Fact describes one fact about a peer.
type Fact struct {
	// Available reports whether the fact is available. If it is not, all other fields
	// except Reason are zero.
	Available bool `json:"available"`
	// Reason says why the fact is not available.
	Reason string `json:"reason,omitempty"`
	// Note describes a further limit of the fact.
	Note string `json:"note,omitempty"`
	// Call names the system's call.
	Call string `json:"call,omitempty"`
	// Server is the moment at which the fact about a client, on a server's accepted conn,
	// is captured.
	Server Moment `json:"server,omitempty"`
	// Client is the same for the fact about a server, on a client's conn. It is empty if
	// the fact is not available there.
	Client Moment `json:"client,omitempty"`
	// Pair is the same for an end of a socketpair. It is empty if the fact is not
	// available there, or if that is not known.
	Pair Moment `json:"pair,omitempty"`
	// SurvivesExit reports whether the fact is still available after the peer has closed
	// its socket, has ended, and has been reaped.
	SurvivesExit bool `json:"survives_exit"`
	// Limit is the largest number of groups that the kernel reports, counting the effective
	// one. 0 means no limit.
	Limit int `json:"limit,omitempty"`
}

// Moment is the moment at which a fact is captured. It differs between systems.
type Moment string

// The moments. A fact as of AtLastUse or WhenAsked may be newer than the connection. A fact
// as of any other moment does not show later changes of the peer.
const (
	AtConnect    Moment = "connect"    // the peer's connect(2)
	AtListen     Moment = "listen"     // the server's listen(2)
	AtBind       Moment = "bind"       // the server's bind(2)
	AtSocketpair Moment = "socketpair" // socketpair(2)
	AtCreation   Moment = "creation"   // the creation of the peer's end
	AtSend       Moment = "send"       // sendmsg(2) of each message
	AtLastUse    Moment = "last use"   // when a process last used the peer's end
	WhenAsked    Moment = "when asked" // now
)

// Support reports which facts are available on this system, with this kernel and the linked
// implementation, and how reliable each is. A certain connection can still lack a fact that
// is available.
//
// Support asks the kernel about a socketpair of its own. That takes some system calls, and
// at most three descriptors for a moment. If it fails, for example because no descriptor is
// left, the fact is not available, and Reason is the error. On systems that do not answer
// about a socketpair, Support returns what is documented. It does so everywhere for
// LoopbackUID, which requires a TCP connection.
//
// It is safe for concurrent use.
func Support() Info {
	info := supportOn(runtime.GOOS, Implementation)
	if err := onSocketpair(info.probe); err != nil {
		info.settle(fmt.Errorf("the kernel could not be asked: socketpair: %w", err))
	}
	return info
}

// Facts yields the facts with their names, in the order of the fields.
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
	i.Sender.settle(askSenders(fd, ReceiverConfig{}), sure)
}

// everyPairAnswers reports whether every kernel of the system answers about a socketpair.
// It is false for OpenBSD: r1.137 (2018) of uipc_usrreq.c does not answer, and r1.221
// (2025) does.
func everyPairAnswers(system string) bool { return system == "linux" || system == "android" }

// settle records the same error for every fact.
func (i *Info) settle(err error) {
	for _, f := range i.facts() {
		f.fact.settle(err, everyPairAnswers(i.System))
	}
}

// settle records the result of a probe. If the system answers about every socketpair, an
// error means that the fact is not available now. Otherwise the socketpair may have caused
// the error, and settle only clears Pair.
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

// namedFact is a fact with its name for people.
type namedFact struct {
	name string
	fact *Fact
}

func (i *Info) facts() []namedFact {
	return []namedFact{
		{"pid", &i.PID}, {"uid", &i.UID}, {"gid", &i.GID}, {"groups", &i.Groups},
		{"security label", &i.SecurityLabel}, {"process", &i.Process}, {"audit token", &i.AuditToken},
		{"loopback uid", &i.LoopbackUID},
		{"sender", &i.Sender},
	}
}
