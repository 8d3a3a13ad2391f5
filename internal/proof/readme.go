//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"os"
	"strings"
)

const (
	tableBegin = "<!-- The matrix is written by \"make proof\" from internal/proof/proven.txt. -->\n"
	tableEnd   = "<!-- End of the matrix. -->\n"
)

// splitREADME returns what is before, in and after the place of the matrix.
func splitREADME(text string) (before, matrix, after string, err error) {
	before, rest, begins := strings.Cut(text, tableBegin)
	matrix, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", "", "", fmt.Errorf("README.md has no place for the matrix, between %q and %q", tableBegin, tableEnd)
	}
	return before, matrix, after, nil
}

func writeREADME(path string, records []record) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, _, after, err := splitREADME(string(text))
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+tableBegin+"\n"+table(records)+"\n"+tableEnd+after), 0o644)
}
