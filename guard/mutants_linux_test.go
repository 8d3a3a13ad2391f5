package guard

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

// Facts that only a dropped statement or a changed constant brings to light.

// asOrdinaryUser runs the calling test again under a user whose uid and gid differ and
// are not 0, and reports whether it has done so.
func asOrdinaryUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != os.Getegid() {
		return false
	}
	if os.Geteuid() != 0 {
		t.Skip("needs a uid and a gid that differ, or root, to take some")
	}
	runAs(t, 1234, "^"+t.Name()+"$")
	return true
}

// The socket file is ours, and our group's, unless Owner and Group say otherwise.
func TestDefaultOwnerAndGroup(t *testing.T) {
	if asOrdinaryUser(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		t.Fatal(err)
	}
	got, want := fmt.Sprintf("%d:%d", stat.Uid, stat.Gid), fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	if got != want {
		t.Errorf("the socket file belongs to %s, want %s", got, want)
	}
}

// CurrentUser goes by the uid, whose number no group of ours has here.
func TestCurrentUserIsNoGroup(t *testing.T) {
	if asOrdinaryUser(t) {
		return
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	for _, test := range []struct {
		uid, gid uint32
		allowed  bool
	}{{uid, gid, true}, {uid, 0, true}, {gid, uid, false}, {gid, gid, false}} {
		peer := peerWith(peercred.PeerCredentials{PID: 1, UID: test.uid, GID: test.gid}, nil, "")
		if err := CurrentUser().Allow(peer); (err == nil) != test.allowed {
			t.Errorf("we are %d:%d: uid %d, gid %d: %v, want to be let in: %v", uid, gid, test.uid, test.gid, err, test.allowed)
		}
	}
}

// Every test that an ordinary user can run passes for one. Those that watch a file for
// seconds have nothing more to see.
func TestAsAnOrdinaryUser(t *testing.T) {
	needRoot(t)
	needOwnCalls(t)
	runAs(t, 1234, ".", "-test.skip", "^(TestSocketFileIsWatched|TestSocketFileIsNeverWider|TestReplacingIsLocked)$")
}

// helperOverflowIDs reports its overflow ids. At Address is a file to be had in place of
// the sysctl that Rule tells: 0 for the uid's, 1 for the gid's.
func helperOverflowIDs(r role) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	sysctl := []string{"/proc/sys/kernel/overflowuid", "/proc/sys/kernel/overflowgid"}[r.Rule]
	if err := unix.Mount(r.Address, sysctl, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a file on %s: %w", sysctl, err)
	}
	return reexec.Report([]int64{overflow().uid, overflow().gid})
}

// uid and gid each have a map and a sysctl of their own.
func TestOverflowIDsOfANamespace(t *testing.T) {
	needRoot(t)
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

// closingConn runs a function as it is closed.
type closingConn struct {
	*net.UnixConn
	during func()
}

func (c *closingConn) Close() error {
	c.during()
	return c.UnixConn.Close()
}

func unixPair(t *testing.T) *net.UnixConn {
	t.Helper()
	listener, err := net.Listen("unix", abstract())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client := dialPlain(t, listener)
	t.Cleanup(func() { client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// Once Close has begun no handle is opened that nobody would close.
func TestHandleAskedForDuringClose(t *testing.T) {
	for name, before := range map[string]func(Peer){
		"no fact is known": func(Peer) {},
		"a fact is known":  func(p Peer) { p.Groups() },
	} {
		t.Run(name, func(t *testing.T) {
			inner := &closingConn{UnixConn: unixPair(t)}
			conn, err := Admit(inner, CurrentUser())
			if err != nil {
				t.Fatal(err)
			}
			before(conn.Peer())
			asked := false
			inner.during = func() {
				asked = true
				if process, err := conn.Peer().Process(); process != nil || !errors.Is(err, net.ErrClosed) {
					t.Errorf("Process during Close: %v, %v, want net.ErrClosed", process, err)
				}
			}
			conn.Close()
			if !asked {
				t.Error("the inner connection was not closed")
			}
		})
	}
}

// A handle that is being opened when Close begins is closed by it.
func TestHandleOpenedDuringClose(t *testing.T) {
	if process := peercred.Support().Process; !process.Available {
		t.Skip("needs a handle on the peer's process: ", process.Reason)
	}
	conn, err := Admit(unixPair(t), CurrentUser())
	if err != nil {
		t.Fatal(err)
	}
	begun, opened, closed := make(chan struct{}), make(chan *peercred.PeerProcess, 1), make(chan struct{})
	go func() {
		process, err := conn.known().process.of(conn.Conn, func(inner net.Conn) (*peercred.PeerProcess, error) {
			process, err := peercred.OpenPeerProcess(inner)
			close(begun)
			waitInOrAfter(closed, ".settle(")
			return process, err
		})
		if err != nil {
			t.Error(err)
		}
		opened <- process
	}()
	<-begun
	conn.Close()
	close(closed)
	if alive, err := (<-opened).Alive(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Alive of the handle after Close: %v, %v, want os.ErrClosed", alive, err)
	}
}

// waitInOrAfter returns when another goroutine is in a function, or after is closed.
func waitInOrAfter(after <-chan struct{}, function string) {
	stacks := make([]byte, 1<<20)
	for {
		select {
		case <-after:
			return
		default:
		}
		if strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), function) {
			return
		}
		runtime.Gosched()
	}
}

// eventsWriter notes when an answer is sent.
type eventsWriter struct {
	http.ResponseWriter
	events *[]string
}

func (w eventsWriter) WriteHeader(status int) {
	*w.events = append(*w.events, fmt.Sprint("answer ", status))
	w.ResponseWriter.WriteHeader(status)
}

// The hooks of Require run before the answer, in their order.
func TestRequireCallsHooksFirst(t *testing.T) {
	var events []string
	hook := func(name string) func(*http.Request, *Denied) {
		return func(*http.Request, *Denied) { events = append(events, name) }
	}
	handler := Require(CurrentUser(), hook("first"), hook("second"))(http.NotFoundHandler())
	handler.ServeHTTP(eventsWriter{httptest.NewRecorder(), &events}, httptest.NewRequest(http.MethodGet, "/", nil))
	if diff := cmp.Diff([]string{"first", "second", "answer 500"}, events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
