//go:build cgo

package peercred_test

import (
	"example.com/peercred/cpeercred"
	"example.com/peercred/native"
)

// implementations are those that this build links, to be held against each
// other.
var implementations = []implementation{
	{
		"cpeercred",
		cpeercred.Credentials, cpeercred.Kind, cpeercred.CheckCanHavePeer, cpeercred.Listens, cpeercred.AnswersForCaller,
		cpeercred.Groups, cpeercred.SecurityLabel, cpeercred.AuditToken,
		cpeercred.OpenProcess, cpeercred.ProcessExited, cpeercred.ProcessPID, cpeercred.ProcessIDs, cpeercred.SignalProcess,
		cpeercred.OnSocketpair, cpeercred.SinceBoot,
	},
	{
		"native",
		native.Credentials, native.Kind, native.CheckCanHavePeer, native.Listens, native.AnswersForCaller,
		native.Groups, native.SecurityLabel, native.AuditToken,
		native.OpenProcess, native.ProcessExited, native.ProcessPID, native.ProcessIDs, native.SignalProcess,
		native.OnSocketpair, native.SinceBoot,
	},
}

const linkedImplementation = "cpeercred"
