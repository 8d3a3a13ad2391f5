//go:build cgo

package peercred_test

import "example.com/peercred/cpeercred"

const linkedImplementation = "cpeercred"

// implementations are those that this build has. The tests compare them.
var implementations = []implementation{cpeercredFunctions, nativeFunctions}

var cpeercredFunctions = implementation{
	name:             "cpeercred",
	credentials:      cpeercred.Credentials,
	kind:             cpeercred.Kind,
	checkCanHavePeer: cpeercred.CheckCanHavePeer,
	listens:          cpeercred.Listens,
	answersForCaller: cpeercred.AnswersForCaller,
	groups:           cpeercred.Groups,
	securityLabel:    cpeercred.SecurityLabel,
	auditToken:       cpeercred.AuditToken,
	loopbackPeerUID:  cpeercred.LoopbackPeerUID,
	reportSenders:    cpeercred.ReportSenders,
	isNoMessage:      cpeercred.IsNoMessage,
	whyLost:          cpeercred.WhyLost,
	receive: func(fd int, payload, control []byte, keep bool) (received, error) {
		r, err := cpeercred.Receive(fd, payload, control, keep)
		return received(r), err
	},
	openProcess:   cpeercred.OpenProcess,
	processExited: cpeercred.ProcessExited,
	processPID:    cpeercred.ProcessPID,
	processIDs:    cpeercred.ProcessIDs,
	signalProcess: cpeercred.SignalProcess,
	onSocketpair:  cpeercred.OnSocketpair,
	sinceBoot:     cpeercred.SinceBoot,
}
