//go:build cgo

package main

import (
	"example.com/peercred/cpeercred"
	"example.com/peercred/native"
)

var implementations = []implementation{
	{"cpeercred", cpeercred.Call, cpeercred.Credentials, cpeercred.AnswersForCaller},
	{"native", native.Call, native.Credentials, native.AnswersForCaller},
}
