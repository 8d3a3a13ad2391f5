//go:build cgo

package main

import (
	"example.com/peercred/cpeercred"
	"example.com/peercred/native"
)

var implementations = []implementation{
	{
		"cpeercred",
		cpeercred.Credentials, cpeercred.AnswersForCaller,
		cpeercred.Groups, cpeercred.SecurityLabel, cpeercred.AuditToken,
		cpeercred.OpenProcess, cpeercred.ProcessExited, cpeercred.ProcessPID,
		cpeercred.LoopbackPeerUID,
	},
	{
		"native",
		native.Credentials, native.AnswersForCaller,
		native.Groups, native.SecurityLabel, native.AuditToken,
		native.OpenProcess, native.ProcessExited, native.ProcessPID,
		native.LoopbackPeerUID,
	},
}
