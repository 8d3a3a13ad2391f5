//go:build cgo

package peercred_test

import (
	"example.com/peercred/cpeercred"
	"example.com/peercred/native"
)

// implementations are those that this build links, to be held against each
// other.
var implementations = []implementation{
	{"cpeercred", cpeercred.Credentials, cpeercred.Kind, cpeercred.CheckNotListening, cpeercred.AnswersForCaller},
	{"native", native.Credentials, native.Kind, native.CheckNotListening, native.AnswersForCaller},
}

const linkedImplementation = "cpeercred"
