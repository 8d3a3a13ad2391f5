//go:build cgo

package peercred_test

import (
	"example.com/peercred/cpeercred"
	"example.com/peercred/native"
)

// implementations are those that this build links, to be held against each
// other.
var implementations = []implementation{
	{"cpeercred", cpeercred.Credentials, cpeercred.Kind, cpeercred.CheckCanHavePeer, cpeercred.AnswersForCaller},
	{"native", native.Credentials, native.Kind, native.CheckCanHavePeer, native.AnswersForCaller},
}

const linkedImplementation = "cpeercred"
