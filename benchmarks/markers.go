//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// What is between these is written by the bench, and the rest of a file is not.
const (
	beginMarker = "<!-- bench -->"
	endMarker   = "<!-- /bench -->"
)

// replaceMarked puts content between the markers, on lines of its own.
func replaceMarked(text, content []byte) ([]byte, error) {
	if bytes.Count(text, []byte(beginMarker)) != 1 || bytes.Count(text, []byte(endMarker)) != 1 {
		return nil, fmt.Errorf("there must be one %q and one %q", beginMarker, endMarker)
	}
	before, rest, _ := bytes.Cut(text, []byte(beginMarker))
	_, after, found := bytes.Cut(rest, []byte(endMarker))
	if !found {
		return nil, fmt.Errorf("%q comes before %q", endMarker, beginMarker)
	}
	content = bytes.TrimSpace(content)
	return fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, beginMarker, content, endMarker, after), nil
}
