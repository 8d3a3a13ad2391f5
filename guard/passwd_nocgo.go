//go:build unix && !android && ((!cgo && !darwin) || osusergo)

package guard

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// uidOf returns the uid of a user whom os/user found. Where that reads /etc/passwd
// itself it takes whoever $USER names for ourselves, with our uid: so what it says of
// our uid is looked up again.
func uidOf(u *user.User) (string, error) {
	if u.Uid != strconv.Itoa(os.Getuid()) {
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

// inPasswd returns the uid in the first line about a name: passwd(5).
func inPasswd(passwd, name string) (uid string, ok bool) {
	for line := range strings.Lines(passwd) {
		fields := strings.Split(line, ":")
		if fields[0] == name && len(fields) > 2 {
			return fields[2], true
		}
	}
	return "", false
}
