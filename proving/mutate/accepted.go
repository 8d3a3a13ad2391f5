//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed accepted.txt
var acceptedText string

var acceptance = regexp.MustCompile(`^(\S+) (.+?): (.*) => (.*)$`)

// parseAccepted returns the reasons by the names of the mutants that may survive. A reason
// is a line that begins with #. The lines below it name mutants as String does, with commas
// between several functions and between several changes.
func parseAccepted(text string) (map[string]string, error) {
	accepted, reason := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if after, ok := strings.CutPrefix(line, "#"); ok || line == "" {
			reason = strings.TrimSpace(after)
			continue
		}
		m := acceptance.FindStringSubmatch(line)
		if m == nil || reason == "" {
			return nil, fmt.Errorf("accepted.txt: no change, or no reason: %s", line)
		}
		for function := range strings.SplitSeq(m[2], ", ") {
			for change := range strings.SplitSeq(m[4], ", ") {
				name := m[1] + " " + function + ": " + m[3] + " => " + change
				if accepted[name] != "" {
					return nil, fmt.Errorf("accepted.txt: twice: %s", name)
				}
				accepted[name] = reason
			}
		}
	}
	return accepted, nil
}
