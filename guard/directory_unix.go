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

// absolutePath does not shorten "link/..".
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
// another socket in the place of ours. If shared is set, others may rename what is in the
// directory itself, and what belongs to users whom our user namespace does not map is
// taken on trust. It goes the way that the kernel goes, from the root: the path is absolute.
func checkDirectory(path string, shared bool) error {
	here, ahead := "/", components(path)
	root, err := lookAt(here)
	if err != nil {
		return err
	}
	parent := root
	if err := root.check(shared && len(ahead) == 0, shared); err != nil {
		return err
	}
	for links := 0; len(ahead) > 0; {
		next := filepath.Join(here, ahead[0]) // here leads through no link, so that ".." is right
		ahead = ahead[1:]
		now, err := lookAt(next)
		if err != nil {
			return err
		}
		last := len(ahead) == 0 && !now.isLink
		if err := now.check(shared && last && (!parent.writable || !now.isOthers()), shared); err != nil {
			return err
		}
		if !now.isLink {
			here, parent = next, now
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
			here, parent = "/", root
		}
		ahead = append(components(target), ahead...)
	}
	return nil
}

// components are the names in a path that lead further.
func components(path string) []string {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// step is a directory on the way, or a link.
type step struct {
	path     string
	mode     fs.FileMode
	uid      uint32
	isLink   bool
	writable bool // by others, though they may not be able to rename what is not theirs
}

// lookAt looks at a link and not where it leads.
func lookAt(path string) (step, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return step{}, err
	}
	isLink := info.Mode().Type() == fs.ModeSymlink // whose mode means nothing
	return step{path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, isLink, !isLink && info.Mode()&0o022 != 0}, nil
}

// check refuses a directory, or a link, of another user, and a directory in which others
// can rename what is ours. If may is set, both are allowed. The overflow id is the owner
// of all that belongs to users whom our user namespace does not map. It counts as another
// user, even if it is ours, unless mayUnmapped is set.
func (s step) check(may, mayUnmapped bool) error {
	unmapped := int64(s.uid) == overflow().uid
	switch {
	case may:
		return nil
	case unmapped && !mayUnmapped:
		return fmt.Errorf("%s belongs to uid %d, which stands for every user whom our user namespace does not map, root among them: "+
			"mount a file system of your own there, or map its owner (AllowSharedDirectory takes it on trust)", s.path, s.uid)
	case s.isOthers() && !unmapped:
		return fmt.Errorf("%s belongs to uid %d, who could put another file in the socket's place: %s", s.path, s.uid, s.advice())
	case s.writable && s.mode&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others (%v), who could put another file in the socket's place: chmod go-w it, or %s", s.path, s.mode, s.advice())
	}
	return nil
}

// isOthers reports whether another user owns it, who is not root.
func (s step) isOthers() bool { return s.uid != uint32(os.Geteuid()) && s.uid != 0 }

func (step) advice() string {
	return "use a directory of your own, such as systemd's RuntimeDirectory= or $XDG_RUNTIME_DIR (AllowSharedDirectory allows it for the socket's directory alone)"
}
