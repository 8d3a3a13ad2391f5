//go:build unix && !android && ((!cgo && !darwin) || osusergo)

package guard

import (
	"os"
	"os/user"
	"strings"
)

// whereElse says where another build looks for a name that is not in the file.
func whereElse(file string) string {
	return ": this build looks in " + file + " alone; with cgo, and without the tag osusergo, it asks LDAP, SSSD and the like too"
}

// uidOf returns the uid of a user that os/user found. If os/user reads /etc/passwd itself,
// it also answers from $USER and our own uid. So uidOf takes the uid from the file.
func uidOf(u *user.User) (string, error) {
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
