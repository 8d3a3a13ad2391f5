//go:build !cgo

package peercred_test

import "example.com/peercred/native"

// implementations are those that this build links: without cgo there is one,
// which is still held against what each test expects.
var implementations = []implementation{
	{
		"native",
		native.Credentials, native.Kind, native.CheckCanHavePeer, native.Listens, native.AnswersForCaller,
		native.Groups, native.SecurityLabel, native.AuditToken,
		native.OpenProcess, native.ProcessExited, native.ProcessPID, native.ProcessIDs, native.SignalProcess,
		native.OnSocketpair, native.SinceBoot,
	},
}

const linkedImplementation = "native"
