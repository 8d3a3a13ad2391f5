//go:build linux && (cgo || !android)

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

// user is one under which clients run.
type user struct {
	uid, gid uint32
	letIn    bool // by the guards
}

var users = [...]user{{0, 0, true}, {4242, 2424, true}, {4243, 3434, false}}

// Supplementary groups are numbered from firstGroup, of which a client has some.
const (
	firstGroup = 5001
	mostGroups = 4
)

// peer is a client process, and who it is in the server's eyes.
type peer struct {
	number  uint64
	want    peercred.PeerCredentials
	groups  []uint32
	letIn   bool
	ending  atomic.Bool // it has been told to end, or killed
	reaping atomic.Bool // it may have been waited for
	// watched is a handle that outlives the process.
	watched atomic.Pointer[peercred.PeerProcess]
	visits  sync.WaitGroup // that are served

	cmd   *exec.Cmd
	stdin io.WriteCloser
	left  chan struct{} // closed when it makes no more reports
	heard error         // what was wrong with them, then
}

// self is the server as a peer, for when it comes to its own doors.
func self() (*peer, error) {
	groups, err := os.Getgroups()
	if err != nil {
		return nil, err
	}
	p := &peer{number: ourselves, want: serverFor(users[0], 0), letIn: true}
	for _, g := range groups {
		p.groups = append(p.groups, uint32(g))
	}
	return p, nil
}

// start starts a client, which waits for open.
func (s *server) start(number uint64, u user, namespaces uintptr, r *rand.Rand) (*peer, error) {
	p := &peer{number: number, letIn: u.letIn, left: make(chan struct{})}
	for n := range uint32(r.IntN(mostGroups + 1)) {
		p.groups = append(p.groups, firstGroup+n)
	}
	var err error
	p.cmd, err = reexec.Command(orders{
		Number: number, Seed: s.seed, Claims: s.claims, Doors: s.doors,
		Server: serverFor(u, namespaces), LetIn: u.letIn,
	})
	if err != nil {
		return nil, err
	}
	p.cmd.Dir = "/"
	p.cmd.SysProcAttr = attributes(u, p.groups, namespaces)
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	reports, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("a client in new namespaces (%#x), which must be allowed to root (sysctl user.max_user_namespaces): %w", namespaces, err)
	}
	p.want = peercred.PeerCredentials{PID: int32(p.cmd.Process.Pid), UID: u.uid, GID: u.gid}
	go p.hear(reports, s.tally)
	return p, nil
}

// attributes are those of a process that is u outside. In a user namespace of its own
// it is root, with the groups from 1.
func attributes(u user, groups []uint32, namespaces uintptr) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags: namespaces,
		Credential: &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: groups},
		Setpgid:    true, // so that an interrupt from the terminal is for the server alone
	}
	if namespaces&syscall.CLONE_NEWUSER == 0 {
		return a
	}
	inside := &syscall.Credential{}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(u.uid), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(u.gid), Size: 1}}
	a.GidMappingsEnableSetgroups = true
	for n := range groups {
		inside.Groups = append(inside.Groups, uint32(n+1))
		a.GidMappings = append(a.GidMappings, syscall.SysProcIDMap{ContainerID: n + 1, HostID: int(groups[n]), Size: 1})
	}
	a.Credential = inside
	return a
}

// serverFor is who serves, in the eyes of a client of u in such namespaces.
func serverFor(u user, namespaces uintptr) peercred.PeerCredentials {
	server := peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if namespaces&syscall.CLONE_NEWPID != 0 {
		server.PID = 0
	}
	if namespaces&syscall.CLONE_NEWUSER != 0 {
		server.UID = mapped(server.UID, u.uid, overflowUID)
		server.GID = mapped(server.GID, u.gid, overflowGID)
	}
	return server
}

// mapped is id where only the id of root, there, is mapped.
func mapped(id, root, overflow uint32) uint32 {
	if id == root {
		return 0
	}
	return overflow
}

var (
	overflowUID = overflowID("/proc/sys/kernel/overflowuid")
	overflowGID = overflowID("/proc/sys/kernel/overflowgid")
)

// overflowID stands for ids that are not mapped, see user_namespaces(7).
func overflowID(path string) uint32 {
	const usual = 65534
	text, err := os.ReadFile(path)
	if err != nil {
		return usual
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return usual
	}
	return uint32(id)
}

// hear takes in what the client counts.
func (p *peer) hear(reports io.Reader, t *tally) {
	defer close(p.left)
	for decoder := json.NewDecoder(reports); ; {
		var c counts
		if err := decoder.Decode(&c); err != nil {
			if !errors.Is(err, io.EOF) {
				p.heard = fmt.Errorf("a client's report: %w", err)
			}
			return
		}
		t.add(c)
	}
}

// watch keeps the first handle on a client until that has ended.
func (p *peer) watch(process *peercred.PeerProcess) bool {
	return p.number != ourselves && p.watched.CompareAndSwap(nil, process)
}

// open lets the client come to the doors.
func (p *peer) open() error {
	_, err := p.stdin.Write([]byte{0})
	return err
}

// end has the process end, by a signal or of itself, and waits for it.
func (p *peer) end(kill bool) error {
	select {
	case <-p.left:
		return fmt.Errorf("a client has ended by itself: %w", errors.Join(p.heard, p.cmd.Wait()))
	default:
	}
	p.ending.Store(true)
	if kill {
		if err := p.cmd.Process.Kill(); err != nil {
			return err
		}
	}
	p.stdin.Close()
	<-p.left
	p.reaping.Store(true)
	err := p.cmd.Wait()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if kill && ok && status.Signal() == syscall.SIGKILL {
		err = nil
	}
	if err != nil || p.heard != nil {
		return fmt.Errorf("a client: %w", errors.Join(p.heard, err))
	}
	return nil
}
