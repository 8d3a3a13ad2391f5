//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed accepted.txt
var acceptedText string

// parseAccepted returns the reasons by the names of the mutants that may survive. A reason
// is a line that begins with #. The lines below it name mutants as String does, with commas
// between several changes.
func parseAccepted(text string) (map[string]string, error) {
	accepted, reason := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if after, ok := strings.CutPrefix(line, "#"); ok || line == "" {
			reason = strings.TrimSpace(after)
			continue
		}
		i := strings.LastIndex(line, " => ")
		if i < 0 || reason == "" {
			return nil, fmt.Errorf("accepted.txt: no change, or no reason: %s", line)
		}
		for c := range strings.SplitSeq(line[i+len(" => "):], ", ") {
			name := line[:i] + " => " + c
			if accepted[name] != "" {
				return nil, fmt.Errorf("accepted.txt: twice: %s", name)
			}
			accepted[name] = reason
		}
	}
	return accepted, nil
}
