package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
)

// CurrentUser admits processes whose effective user id is ours as of this call, whatever
// their groups. On a system without user ids it denies every peer.
func CurrentUser() Policy {
	uid := os.Geteuid()
	if uid < 0 { // Windows
		return Policy{rule: "the current user"}
	}
	return uidPolicy("the current user, uid "+strconv.Itoa(uid), []uint32{uint32(uid)})
}

// Users admits processes that run as one of these users. The names are looked up once, in
// this call, with package os/user. A build with CGO_ENABLED=0, or with the tag osusergo,
// looks only in /etc/passwd, except on macOS. Other builds ask the C library, which also
// asks LDAP, SSSD and the other sources in nsswitch.conf(5).
//
// The error for an unknown name wraps [user.UnknownUserError]. If there is no /etc/passwd,
// every name is unknown. The Policy that comes with an error denies every peer.
func Users(names ...string) (Policy, error) {
	return resolved("user", names, lookUpUser, uidPolicy)
}

// GroupNames is [Groups] by name. The names are looked up as in [Users], in /etc/group. The
// error for an unknown name wraps [user.UnknownGroupError]. Only the id of the group comes
// from /etc/group. The kernel says which groups a peer has.
func GroupNames(names ...string) (Policy, error) {
	return resolved("group", names, lookUpGroup, groupPolicy)
}

// idOf returns the id of a user or group. The text is a name or a number, as for chown(1).
// A number must be as ids are printed: chown(1) reads 010 as ten, and C reads it as eight.
// If the text is empty, idOf returns ours.
func idOf(text string, ours int, lookUp func(name string) (uint32, error)) (int, error) {
	if text == "" {
		return ours, nil
	}
	id, err := lookUp(text)
	if err == nil {
		return int(id), nil
	}
	id, parseErr := parseID("id", text, text)
	switch canonical := strconv.FormatUint(uint64(id), 10); {
	case parseErr != nil || !isUnknown(err):
		return -1, err
	case canonical != text:
		return -1, fmt.Errorf("the id %q has needless zeros: write %q for decimal %s", text, canonical, canonical)
	}
	return int(id), nil
}

func isUnknown(err error) bool {
	_, noUser := errors.AsType[user.UnknownUserError](err)
	_, noGroup := errors.AsType[user.UnknownGroupError](err)
	return noUser || noGroup
}

// resolved returns the policy for the ids of the names.
func resolved(kind string, names []string, lookUp func(name string) (uint32, error), policy func(string, []uint32) Policy) (Policy, error) {
	var ids []uint32
	var texts []string
	for _, name := range names {
		id, err := lookUp(name)
		if err != nil {
			return Policy{}, fmt.Errorf("guard: %w", err)
		}
		ids = append(ids, id)
		texts = append(texts, fmt.Sprintf("%s(%d)", name, id))
	}
	return policy(kind+" "+or(texts), ids), nil
}

func lookUpUser(name string) (uint32, error) {
	return lookUp("user", "/etc/passwd", name, user.UnknownUserError(name), func() (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return uidOf(u)
	})
}

func lookUpGroup(name string) (uint32, error) {
	return lookUp("group", "/etc/group", name, user.UnknownGroupError(name), func() (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

// lookUp returns the id that find finds. If there is no such id, or no database, the error
// wraps unknown.
func lookUp(kind, file, name string, unknown error, find func() (id string, err error)) (uint32, error) {
	if !isName(name) {
		return 0, &unknownName{fmt.Sprintf("unknown %s %q", kind, name), unknown}
	}
	id, err := find()
	switch {
	case err == nil:
		return parseID(kind, name, id)
	case errors.Is(err, fs.ErrNotExist):
		return 0, &unknownName{fmt.Sprintf("unknown %s %q: %v%s", kind, name, err, whereElse(file)), unknown}
	case isUnknown(err):
		return 0, &unknownName{fmt.Sprintf("unknown %s %q%s", kind, name, whereElse(file)), unknown}
	}
	return 0, fmt.Errorf("look up the %s %q: %w", kind, name, err)
}

// unknownName is an error of os/user with our own text.
type unknownName struct {
	text string
	as   error
}

func (u *unknownName) Error() string { return u.text }
func (u *unknownName) Unwrap() error { return u.as }

// isName refuses names that C would cut off: getpwnam(3) finds root for "root\x00x".
func isName(name string) bool { return name != "" && !strings.ContainsRune(name, 0) }

// parseID parses an id of the user database. On Windows it is not a number.
func parseID(kind, name, id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("the %s %q has the id %q, which is not a number from 0 to 4294967294", kind, name, id)
	}
	return uint32(n), nil
}

// readsFiles is true in a build whose package os/user reads files itself: users_nocgo.go.
// Other builds ask the system, which looks in all configured places.
var readsFiles bool

// whereElse says where another build looks for a name that is not in the file.
func whereElse(file string) string {
	if !readsFiles {
		return ""
	}
	return ": this build looks in " + file + " alone; with cgo, and without the tag osusergo, it asks LDAP, SSSD and the like too"
}

// uidOf returns the uid of a user that os/user found. If os/user reads /etc/passwd itself,
// it also answers from $USER and our own uid. So uidOf takes the uid from the file.
func uidOf(u *user.User) (string, error) {
	if !readsFiles {
		return u.Uid, nil
	}
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	uid, ok := inPasswd(string(text), u.Username)
	if !ok {
		return "", user.UnknownUserError(u.Username)
	}
	return uid, nil
}

// inPasswd returns the uid in the first line for a name: passwd(5).
func inPasswd(passwd, name string) (uid string, ok bool) {
	for line := range strings.Lines(passwd) {
		fields := strings.Split(line, ":")
		if fields[0] == name && len(fields) > 2 {
			return fields[2], true
		}
	}
	return "", false
}

// overflowIDs are ids that stand for many ids, or none.
type overflowIDs struct{ uid, gid int64 }

// none is not an id.
const none = -1

// overflow returns the ids that stand for every id that our user namespace does not map:
// user_namespaces(7). Only Linux has user namespaces. Tests change it.
var overflow = sync.OnceValue(func() overflowIDs {
	if !isLinux {
		return overflowIDs{none, none}
	}
	return overflowIDs{
		uid: overflowID("/proc/self/uid_map", "/proc/sys/kernel/overflowuid"),
		gid: overflowID("/proc/self/gid_map", "/proc/sys/kernel/overflowgid"),
	}
})

// overflowID returns the overflow id, or none if the map has every id. If the file cannot be
// read, it returns the kernel's default.
func overflowID(mapFile, overflowFile string) int64 {
	if ids, err := os.ReadFile(mapFile); err == nil && mapsAll(string(ids)) {
		return none
	}
	text, err := os.ReadFile(overflowFile)
	if err != nil {
		return defaultOverflowID
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return defaultOverflowID
	}
	return int64(id)
}

const defaultOverflowID = 65534

// mapsAll reports whether a map has every id. Its lines are INSIDE OUTSIDE COUNT, and the
// ranges do not overlap.
func mapsAll(ids string) bool {
	var sum uint64
	for line := range strings.Lines(ids) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return false
		}
		count, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			return false
		}
		sum += count
	}
	return sum == 1<<32-1 // all but (uid_t)-1
}
