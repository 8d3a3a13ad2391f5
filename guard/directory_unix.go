//go:build unix

package guard

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// maxLinks is how many symbolic links the kernel follows in a path: path_resolution(7).
const maxLinks = 40

// checkDirectory refuses a directory if others can rename what is in it, or in one of
// those that lead to it, or can lead a symbolic link on the way elsewhere: they could put
// another socket in the place of ours. It goes the way that the kernel goes, from the
// root: the path is absolute.
func checkDirectory(path string) error {
	here, ahead := "/", strings.Split(path, "/") // whose first part, before the "/", is ""
	for links := 0; len(ahead) > 0; {
		next := filepath.Join(here, ahead[0]) // here leads through no link, so that ".." is right
		ahead = ahead[1:]
		isLink, err := checkStep(next)
		if err != nil {
			return err
		}
		if !isLink {
			here = next
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		if links++; links > maxLinks {
			return &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			here = "/"
		}
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	return nil
}

// checkStep looks at a directory, or at a link and not where it leads. The overflow id is
// the owner of whatever belongs to somebody whom our user namespace does not map, and is
// no user's of whom we know, though it be ours.
func checkStep(path string) (isLink bool, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	uid := info.Sys().(*syscall.Stat_t).Uid
	isLink = info.Mode().Type() == fs.ModeSymlink // whose mode means nothing
	switch {
	case uid != uint32(os.Geteuid()) && uid != 0, int64(uid) == overflow().uid:
		return false, fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: take a directory of your own, or say AllowSharedDirectory", path, uid)
	case !isLink && info.Mode()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return false, fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: take a directory of your own (or chmod go-w it), or say AllowSharedDirectory", path, info.Mode())
	}
	return isLink, nil
}
