//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"io"
	"slices"
)

// footnotes are texts below a table or a line. The same text is printed once.
type footnotes struct {
	marked  []string // those with a number, by it
	lines   []string // all of them, as they are printed
	printed int
}

// missing returns the text that replaces a missing value, with its reason as a footnote.
func (f *footnotes) missing(reason string) string { return "-" + f.mark(reason) }

// mark returns the reference to a text. The same text has the same number.
func (f *footnotes) mark(text string) string {
	n := slices.Index(f.marked, text)
	if n < 0 {
		n = len(f.marked)
		f.marked = append(f.marked, text)
		f.lines = append(f.lines, fmt.Sprintf("[%d] %s", n+1, text))
	}
	return fmt.Sprintf("[%d]", n+1)
}

// once adds a text that no value refers to.
func (f *footnotes) once(text string) {
	if !slices.Contains(f.lines, text) {
		f.lines = append(f.lines, text)
	}
}

// print prints the footnotes that were not printed yet.
func (f *footnotes) print(w io.Writer) error {
	for ; f.printed < len(f.lines); f.printed++ {
		if _, err := fmt.Fprintf(w, "  %s\n", f.lines[f.printed]); err != nil {
			return err
		}
	}
	return nil
}
