package guard

import (
	"errors"
	"os"
	"os/user"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
)

func init() { roles["look up without databases"] = helperLookUp }

// lookedUp is what became of names where there is no /etc/passwd and no /etc/group.
type lookedUp struct {
	User, Group               string // the errors
	UnknownUser, UnknownGroup bool   // what they wrap
	Number                    int    // as an owner
	LetIn                     bool   // root, by the policies
}

func helperLookUp(r role) error {
	if err := errors.Join(unix.Chroot(r.Address), os.Chdir("/")); err != nil {
		return err
	}
	var got lookedUp
	users, err := Users("root")
	_, got.UnknownUser = errors.AsType[user.UnknownUserError](err)
	got.User = errorText(err)
	groups, err := GroupNames("root")
	_, got.UnknownGroup = errors.AsType[user.UnknownGroupError](err)
	got.Group = errorText(err)
	if got.Number, err = idOf("12", 0, lookUpUser); err != nil {
		return err
	}
	got.LetIn = AnyOf(users, groups).Allow(reticent(0, 0)) == nil
	return reexec.Report(got)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A container without databases of users has no users, and numbers are numbers.
func TestNamesWithoutDatabases(t *testing.T) {
	needRoot(t)
	var got lookedUp
	helper := reexec.Start(t, role{Do: "look up without databases", Address: t.TempDir()})
	helper.Decode(&got)
	helper.Finish()
	for text, want := range map[string]string{got.User: `guard: unknown user "root"`, got.Group: `guard: unknown group "root"`} {
		if !strings.HasPrefix(text, want) {
			t.Errorf("%q, want %q", text, want)
		}
	}
	if !got.UnknownUser || !got.UnknownGroup || got.Number != 12 || got.LetIn {
		t.Errorf("%+v, want errors of os/user, 12 as an owner, and that nobody is let in", got)
	}
}
