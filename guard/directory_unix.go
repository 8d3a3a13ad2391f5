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
// If shared is set, others may rename files in the directory itself. It then also trusts
// users whom our user namespace does not map. The path must be absolute. checkDirectory
// walks it from the root, as the kernel does, and returns where it arrived. The kernel
// arrives elsewhere if a link on the way leads elsewhere than its text says, as
// /proc/PID/root does.
func checkDirectory(path string, shared bool) (where string, err error) {
	here, ahead := "/", components(path)
	root, err := lookAt(here)
	if err != nil {
		return "", err
	}
	parent := root
	if err := root.check(shared && len(ahead) == 0, shared); err != nil {
		return "", err
	}
	for links := 0; len(ahead) > 0; {
		next := filepath.Join(here, ahead[0]) // ".." is right, since here leads through no link
		ahead = ahead[1:]
		now, err := lookAt(next)
		if err != nil {
			return "", err
		}
		last := len(ahead) == 0 && !now.isLink
		if err := now.check(shared && last && (!parent.writable || !now.isOthers()), shared); err != nil {
			return "", err
		}
		if !now.isLink {
			here, parent = next, now
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			here, parent = "/", root
		}
		ahead = append(components(target), ahead...)
	}
	return here, nil
}

// components returns the names in a path, without "" and ".".
func components(path string) []string {
	var names []string
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

// lookAt looks at a link itself, not at its target. Of a mount point it looks at the root of
// what is mounted there. Walking on has autofs mount what it mounts on demand.
func lookAt(path string) (step, error) {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		info, err = os.Lstat(path + "/.")
	}
	if err != nil {
		return step{}, err
	}
	isLink := info.Mode().Type() == fs.ModeSymlink // whose mode means nothing
	return step{path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, isLink, !isLink && info.Mode()&0o022 != 0}, nil
}

// check refuses a directory or a link that belongs to another user. It also refuses a
// directory in which others can rename our files. If may is set, both are allowed.
//
// The overflow id stands for all users whom our user namespace does not map. It counts as
// another user, even if it is our own uid. If mayUnmapped is set, it is trusted.
func (s step) check(may, mayUnmapped bool) error {
	unmapped := int64(s.uid) == overflow().uid
	switch {
	case may:
		return nil
	case unmapped && !mayUnmapped:
		return fmt.Errorf("%s belongs to uid %d, which stands for every user whom our user namespace does not map, including root: "+
			"mount a file system of your own there, or map its owner (AllowSharedDirectory trusts it)", s.path, s.uid)
	case s.isOthers() && !unmapped:
		return fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: %s", s.path, s.uid, s.advice())
	case s.writable && s.mode&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: chmod go-w it, or %s", s.path, s.mode, s.advice())
	}
	return nil
}

// isOthers reports whether the owner is neither our user nor root.
func (s step) isOthers() bool { return s.uid != uint32(os.Geteuid()) && s.uid != 0 }

func (step) advice() string {
	return "use a directory of your own, such as systemd's RuntimeDirectory= or $XDG_RUNTIME_DIR (AllowSharedDirectory allows it for the socket's directory alone)"
}
