//go:build !cgo && !android && !ios

package main

import "example.com/peercred/native"

var implementations = []implementation{
	{
		"native",
		native.Credentials, native.AnswersForCaller,
		native.Groups, native.SecurityLabel, native.AuditToken,
		native.OpenProcess, native.ProcessExited, native.ProcessPID,
		native.LoopbackPeerUID,
	},
}
