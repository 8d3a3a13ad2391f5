//go:build unix && (cgo || (!android && !ios))

package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxRulesFile bounds how much is read, because the file may be the wrong one.
const maxRulesFile = 64 << 10

// loadRules reads the rules in a file that only we and root can write.
func loadRules(path string) (*rules, error) {
	text, err := readOwnFile(path)
	if err != nil {
		return nil, err
	}
	r, err := parseRules(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func readOwnFile(path string) ([]byte, error) {
	// Without O_NONBLOCK a FIFO would make us wait for its writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkOwn(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxRulesFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxRulesFile:
		return nil, fmt.Errorf("%s has more than %d bytes: is it the right file?", path, maxRulesFile)
	}
	return text, nil
}

// checkOwn looks at the open file. The file at path may be another by now.
func checkOwn(path string, info os.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file (%v)", path, info.Mode())
	case owner != 0 && owner != uint32(os.Geteuid()):
		return fmt.Errorf("%s belongs to uid %d, who could admit anybody: chown it to root or to uid %d", path, owner, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written by others (%v), who could admit anybody: chmod go-w it", path, info.Mode())
	}
	return nil
}
