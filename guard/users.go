package guard

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// CurrentUser lets in whoever runs under our own effective user id, as of this
// call, whatever its groups. Where there are no user ids it lets in nobody.
func CurrentUser() Policy {
	uid := os.Geteuid()
	if uid < 0 { // Windows
		return Policy{rule: "the current user"}
	}
	return uidPolicy("the current user, uid "+strconv.Itoa(uid), []uint32{uint32(uid)})
}

// Users lets in whoever runs as one of these users. The names are looked up once,
// in this call, with os/user: in a build with CGO_ENABLED=0 that is /etc/passwd
// alone, but on macOS. A name that is unknown is an error, which wraps
// [user.UnknownUserError], and the Policy then lets in nobody.
func Users(names ...string) (Policy, error) {
	return resolved("user", names, lookUpUser, uidPolicy)
}

// GroupNames is [Groups] by name. The names are looked up as in [Users]; the error for
// one that is unknown wraps [user.UnknownGroupError]. Who is in a group is for the
// kernel to say, and not for /etc/group.
func GroupNames(names ...string) (Policy, error) {
	return resolved("group", names, lookUpGroup, groupPolicy)
}

// idOf returns the id of a user or group that is given by name or, as in chown(1), by
// number; ours for none. A number must be as ids are printed: chown(1) reads 010 as ten,
// and C as eight.
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

// resolved is the policy about the ids that the names have.
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
	if !isName(name) {
		return 0, user.UnknownUserError(name)
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	uid, err := uidOf(u)
	if err != nil {
		return 0, err
	}
	return parseID("user", name, uid)
}

func lookUpGroup(name string) (uint32, error) {
	if !isName(name) {
		return 0, user.UnknownGroupError(name)
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return parseID("group", name, g.Gid)
}

// isName refuses what C would cut off: getpwnam(3) finds root for "root\x00x".
func isName(name string) bool { return name != "" && !strings.ContainsRune(name, 0) }

// parseID reads an id of the user database, which is no number on Windows.
func parseID(kind, name, id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("the %s %q has the id %q, which is none", kind, name, id)
	}
	return uint32(n), nil
}
