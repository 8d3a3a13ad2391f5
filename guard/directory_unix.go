//go:build unix

package guard

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// directoryOf is the directory that path is in, as the kernel reads it: unlike
// filepath.Dir it does not shorten "link/..".
func directoryOf(path string) string {
	directory, _ := filepath.Split(path)
	return cmp.Or(directory, ".")
}

// absolutePath leads to the same file wherever we go, and does not shorten "link/..".
func absolutePath(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	here, err := os.Getwd()
	return here + "/" + path, err
}

// checkDirectory refuses a directory if others can rename what is in it, or in one of
// those that lead to it: they could put another socket in the place of ours, and lead
// every step that goes by a path elsewhere. It looks at the absolute path as it is
// written, and at where that leads.
func checkDirectory(path string) error {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, start := range []string{path, resolved} {
		for directory := filepath.Clean(start); ; directory = filepath.Dir(directory) {
			if err := checkOwner(directory); err != nil {
				return err
			}
			if directory == "/" {
				break
			}
		}
	}
	return nil
}

func checkOwner(directory string) error {
	info, err := os.Stat(directory)
	if err != nil {
		return err
	}
	uid := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case uid != uint32(os.Geteuid()) && uid != 0:
		return fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: take a directory of your own, or say AllowSharedDirectory", directory, uid)
	case info.Mode()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: take a directory of your own (or chmod go-w it), or say AllowSharedDirectory", directory, info.Mode())
	}
	return nil
}
