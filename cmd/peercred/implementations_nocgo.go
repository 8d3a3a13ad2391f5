//go:build !cgo && !android && !ios

package main

import "example.com/peercred/native"

var implementations = []implementation{
	{"native", native.Call, native.Credentials, native.AnswersForCaller},
}
