//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"io"
	"slices"
)

// footnotes are texts that are referred to by number. The same text has the same
// number, and is printed once.
type footnotes struct {
	texts   []string
	printed int
}

// missing is what stands in place of a value that is not there, for a reason.
func (f *footnotes) missing(reason string) string { return "-" + f.mark(reason) }

func (f *footnotes) mark(text string) string {
	n := slices.Index(f.texts, text)
	if n < 0 {
		n = len(f.texts)
		f.texts = append(f.texts, text)
	}
	return fmt.Sprintf("[%d]", n+1)
}

// print prints those that were not printed yet.
func (f *footnotes) print(w io.Writer) error {
	for ; f.printed < len(f.texts); f.printed++ {
		if _, err := fmt.Fprintf(w, "  [%d] %s\n", f.printed+1, f.texts[f.printed]); err != nil {
			return err
		}
	}
	return nil
}
