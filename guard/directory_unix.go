//go:build unix

package guard

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// absolutePath makes path absolute. It does not shorten "link/..".
func absolutePath(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	here, err := os.Getwd()
	return here + "/" + path, err
}

// maxLinks is the number of symbolic links that the kernel follows in a path:
// path_resolution(7).
const maxLinks = 40

// checkDirectory refuses a directory in which others could replace our socket. They could
// if they can rename files in the directory, or in one that leads to it. They could also if
// they can change a symbolic link on the way.
//
// If allowShared is set, others may rename files in the directory itself. Users whom our
// user namespace does not map are trusted then, too. The result shared says whether the
// directory requires that.
//
// The path must be absolute. checkDirectory walks it from the root, as the kernel does, and
// returns where it arrived. The kernel arrives elsewhere if a link on the way leads
// elsewhere than its text says, as /proc/PID/root does.
func checkDirectory(path string, allowShared bool) (where string, shared bool, err error) {
	here, parent, ahead := "/", step{}, components(path)
	for links := 0; len(ahead) > 0; {
		next := filepath.Join(here, ahead[0]) // ".." is right, since here leads through no link
		ahead = ahead[1:]
		now, err := lookAt(next)
		if err != nil {
			return "", false, err
		}
		err = now.check(allowShared)
		if err != nil && allowShared {
			shared = true
			if len(ahead) > 0 || now.isLink || parent.writable && now.isOthers() {
				err = now.checkUnlessUnmapped(allowShared)
			} else {
				err = nil
			}
		}
		if err != nil {
			return "", false, err
		}
		if !now.isLink {
			here, parent = next, now
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", false, err
		}
		if links++; links > maxLinks {
			return "", false, &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			here, parent = "/", step{}
		}
		ahead = append(components(target), ahead...)
	}
	return here, shared, nil
}

// components returns the names in a path, without "" and ".". An absolute path begins with
// "/".
func components(path string) []string {
	var names []string
	if filepath.IsAbs(path) {
		names = []string{"/"}
	}
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// step is a directory or a link on the way.
type step struct {
	path     string
	mode     fs.FileMode
	uid      uint32
	isLink   bool
	writable bool // by others; in a sticky directory they can rename only what is theirs
}

// lookAt looks at a link itself, not at its target.
func lookAt(path string) (step, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return step{}, err
	}
	isLink := info.Mode().Type() == fs.ModeSymlink // whose mode means nothing
	if !isLink && !info.IsDir() {
		return step{}, fmt.Errorf("%s is not a directory, and the socket cannot be in it: use another path: %w", path, syscall.ENOTDIR)
	}
	return step{path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, isLink, !isLink && info.Mode()&0o022 != 0}, nil
}

// check refuses a directory or a link that belongs to another user. It also refuses a
// directory in which others can rename our files.
//
// The overflow id stands for all users whom our user namespace does not map. It counts as
// another user, even if it is our own uid.
func (s step) check(allowShared bool) error {
	if s.isUnmapped() {
		return fmt.Errorf("%s belongs to uid %d, which stands for every user whom our user namespace does not map, including root: "+
			"mount a file system of your own there, or map its owner (AllowSharedDirectory trusts it)", s.path, s.uid)
	}
	return s.checkUnlessUnmapped(allowShared)
}

// checkUnlessUnmapped is check, and trusts users whom our user namespace does not map.
func (s step) checkUnlessUnmapped(allowShared bool) error {
	switch {
	case s.isOthers() && !s.isUnmapped():
		return fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: %s", s.path, s.uid, advice(allowShared))
	case s.writable && s.mode&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: chmod go-w it, or %s", s.path, s.mode, advice(allowShared))
	}
	return nil
}

func (s step) isUnmapped() bool { return int64(s.uid) == overflow().uid }

// isOthers reports whether the owner is neither our user nor root.
func (s step) isOthers() bool { return s.uid != uint32(os.Geteuid()) && s.uid != 0 }

func advice(allowShared bool) string {
	text := "use a directory of your own, such as systemd's RuntimeDirectory= or $XDG_RUNTIME_DIR"
	if !allowShared {
		text += " (AllowSharedDirectory allows it for the socket's directory alone)"
	}
	return text
}
