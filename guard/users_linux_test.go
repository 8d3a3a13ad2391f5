package guard

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

func init() {
	roles["serve in a namespace"] = helperServeInNamespace
	roles["overflow ids"] = helperOverflowIDs
}

// helperServeInNamespace guards by UIDs(Rule), and reports what became of one peer.
func helperServeInNamespace(r role) error {
	inner, err := net.Listen("unix", r.Address)
	if err != nil {
		return err
	}
	denied := make(chan *Denied, 1)
	listener, err := NewListener(inner, Config{Policy: UIDs(r.Rule), OnDeny: func(d *Denied) { denied <- d }})
	if err != nil {
		return err
	}
	fmt.Println("listening")
	accepted := make(chan *Conn, 1)
	go func() {
		if conn, err := listener.AcceptPeer(); err == nil {
			accepted <- conn
		}
	}()
	select {
	case d := <-denied:
		return reexec.Report(d.Error())
	case <-accepted:
		return reexec.Report("admitted")
	}
}

// mountOver makes file replace another one in this mount namespace alone.
func mountOver(file, other string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(file, other, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a file on %s: %w", other, err)
	}
	return nil
}

// helperOverflowIDs reports its overflow ids. The file at Address replaces a sysctl, the one
// for the uid if Rule is 0, and the one for the gid if Rule is 1.
func helperOverflowIDs(r role) error {
	sysctl := []string{"/proc/sys/kernel/overflowuid", "/proc/sys/kernel/overflowgid"}[r.Rule]
	if err := mountOver(r.Address, sysctl); err != nil {
		return err
	}
	return reexec.Report([]int64{overflow().uid, overflow().gid})
}

// uid and gid each have a map and a sysctl of their own.
func TestOverflowIDsOfANamespace(t *testing.T) {
	reexec.NeedRoot(t)
	needOwnCalls(t)
	if strconv.IntSize == 32 {
		t.Skip("needs an int that holds the number of all ids")
	}
	if err := exec.Command("unshare", "--user", "--mount", "true").Run(); err != nil {
		t.Skip("needs unshare(1), and user and mount namespaces: ", err)
	}
	file := filepath.Join(openDirectory(t), "overflow")
	if err := os.WriteFile(file, []byte("4242\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	everyID := uint32(math.MaxUint32) // all but (uid_t)-1
	all, some := []syscall.SysProcIDMap{{Size: int(everyID)}}, []syscall.SysProcIDMap{{Size: 10}}
	for _, test := range []struct {
		name       string
		uids, gids []syscall.SysProcIDMap
		sysctl     uint32 // which is another than by default
		want       []int64
	}{
		{"all uids, some gids, the gid's sysctl", all, some, 1, []int64{none, 4242}},
		{"all uids, some gids, the uid's sysctl", all, some, 0, []int64{none, defaultOverflowID}},
		{"some uids, all gids, the uid's sysctl", some, all, 0, []int64{4242, none}},
		{"some uids, all gids, the gid's sysctl", some, all, 1, []int64{defaultOverflowID, none}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []int64
			reexec.Start(t, role{Do: "overflow ids", Address: file, Rule: test.sysctl}, func(c *exec.Cmd) {
				c.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
					UidMappings: test.uids, GidMappings: test.gids, GidMappingsEnableSetgroups: true,
				}
			}).Decode(&got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("uid and gid that stand for many (-want +got):\n%s", diff)
			}
		})
	}
}

// The overflow id is denied if it stands for users that are not mapped. If all users are
// mapped, it is the id of nobody.
func TestOverflowIDs(t *testing.T) {
	reexec.NeedRoot(t)
	needUserNamespaces(t)
	for _, test := range []struct {
		name    string
		where   []reexec.Option
		allowed uint32 // by the server
		says    string
	}{
		{"we are mapped", []reexec.Option{inUserNamespace(7, 0)}, 7, "admitted"},
		{"we are not mapped", []reexec.Option{inUserNamespace(0, 54321)}, 65534, "uid 65534 stands for every uid that our user namespace does not map"},
		{"we are not mapped and not listed", []reexec.Option{inUserNamespace(0, 54321)}, 0, `by the rule "uid 0"`},
		{"all are mapped", nil, 0, "admitted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := abstract()
			server := reexec.Start(t, role{Do: "serve in a namespace", Address: address, Rule: test.allowed}, test.where...)
			server.Expect("listening")
			conn, err := net.Dial("unix", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var said string
			server.Decode(&said)
			server.Finish()
			if !strings.Contains(said, test.says) {
				t.Errorf("the server says %q, want %q", said, test.says)
			}
		})
	}
	// Here all users are mapped, so 65534 is the user nobody.
	uid := uint32(65534)
	inner, err := net.Listen("unix", abstract())
	if err != nil {
		t.Fatal(err)
	}
	welcome(t, newGuarded(t, inner, Config{Policy: AllOf(UIDs(uid), GIDs(uid))}))
	peer := reexec.Start(t, role{Do: "connect", Address: inner.Addr().String(), UID: &uid, GID: &uid})
	peer.Expect("welcome")
	peer.Finish()
}

func needUserNamespaces(t *testing.T) {
	t.Helper()
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || string(n) == "0\n" {
		t.Skipf("needs user namespaces: /proc/sys/user/max_user_namespaces is %q, %v", n, err)
	}
}

func TestMapsAll(t *testing.T) {
	for text, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"0 0 1000\n1000 5000 4294966295\n":   true,
		"0 1000 1\n":                         false,
		"0 100000 65536\n":                   false,
		"":                                   false,
		"0 0\n":                              false,
		"0 0 many\n":                         false,
		"0 0 4294967296\n":                   false,
		"0 0 4294967294\n":                   false,
		"0 0 4294967295\n4294967295 4294967295 1\n":      false,
		"0 0 4294967295 and more\n":                      false,
		"0 0 2147483648\n2147483648 1000 2147483647\n":   true,
		"0 0 2147483648\n2147483648 1000 2147483646\n\n": false,
	} {
		if got := mapsAll(text); got != want {
			t.Errorf("mapsAll(%q) = %v", text, got)
		}
	}
	for _, test := range []struct {
		ids, overflow string
		want          int64
	}{
		{"0 0 4294967295\n", "65534\n", none},
		{"0 1000 1\n", "65533\n", 65533},
		{"0 1000 1\n", "many\n", defaultOverflowID},
		{"0 1000 1\n", "", defaultOverflowID},
		{"", "", defaultOverflowID},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"map": test.ids, "overflow": test.overflow} {
			if text == "" {
				continue // no file
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := overflowID(filepath.Join(dir, "map"), filepath.Join(dir, "overflow")); got != test.want {
			t.Errorf("overflowID of %q and %q = %d, want %d", test.ids, test.overflow, got, test.want)
		}
	}
}

// Each rule about ids denies the overflow id.
func TestOverflowIDsAreDenied(t *testing.T) {
	defer func(saved func() overflowIDs) { overflow = saved }(overflow)
	overflow = func() overflowIDs { return overflowIDs{uid: 65534, gid: 65533} }
	peer := func(uid, gid uint32, groups ...uint32) Peer {
		return peerWith(peercred.PeerCredentials{UID: uid, GID: gid}, groups, "")
	}
	for _, test := range []struct {
		name   string
		policy Policy
		peer   Peer
		failed bool // else it is admitted
	}{
		{"uid", UIDs(65534), peer(65534, 1), true},
		{"uid of a name", uidPolicy("user nobody(65534)", []uint32{65534}), peer(65534, 1), true},
		{"another uid", UIDs(65534, 5), peer(5, 1), false},
		{"the gid's is no uid's", UIDs(65533), peer(65533, 1), false},
		{"gid", GIDs(65533), peer(1, 65533), true},
		{"effective group", Groups(65533), peer(1, 65533), true},
		{"supplementary group", Groups(65533), peer(1, 1, 65533), true},
		{"and another group that is right", Groups(65533, 7), peer(1, 65533, 65533, 7), false},
		{"which comes first", Groups(65533, 7), peer(1, 1, 7, 65533), false},
		{"and another group that is not listed", Groups(65533), peer(1, 1, 65533, 9), true},
	} {
		err := test.policy.Allow(test.peer)
		if got := verdictOf(t, err); got.failed != test.failed || (err == nil) == test.failed {
			t.Errorf("%s: %v, want a failure: %v", test.name, err, test.failed)
		}
	}
}

// A name is looked up in the user database. The environment does not matter.
func TestUserOfTheEnvironment(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Setenv("USER", "daemon")
		t.Run("under another user", func(t *testing.T) { runAs(t, 55555, "^TestUserOfTheEnvironment$") })
		return
	}
	policy, err := Users("daemon")
	if want := "user daemon(1)"; err != nil || policy.String() != want {
		t.Errorf("%v, %v, want %s", policy, err, want)
	}
}

func init() { roles["look up without databases"] = helperLookUp }

// lookedUp has the results for names if there is no /etc/passwd and no /etc/group.
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

// Without user databases, as in a container, every name is unknown, and numbers still work.
func TestNamesWithoutDatabases(t *testing.T) {
	reexec.NeedRoot(t)
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
		t.Errorf("%+v, want errors of os/user, 12 as an owner, and that nobody is admitted", got)
	}
}
