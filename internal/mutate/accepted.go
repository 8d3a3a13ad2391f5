//go:build linux && (cgo || !android)

package main

import "fmt"

// acceptance is a mutant that may survive, and why: because no test can tell it from
// the original, or because it costs no more than time.
type acceptance struct {
	identity
	reason string
}

var accepted = []acceptance{}

// reasons are the acceptances by mutant. It is an error if there are two for one.
func reasons() (map[identity]string, error) {
	of := map[identity]string{}
	for _, a := range accepted {
		if _, twice := of[a.identity]; twice {
			return nil, fmt.Errorf("accepted twice: %v", a.identity)
		}
		if a.reason == "" {
			return nil, fmt.Errorf("accepted without a reason: %v", a.identity)
		}
		of[a.identity] = a.reason
	}
	return of, nil
}
