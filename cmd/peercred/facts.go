//go:build cgo || (!android && !ios)

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"example.com/peercred"
)

// implementation is what check asks of cpeercred and of native.
type implementation struct {
	name             string
	credentials      func(fd int) (pid int32, uid, gid uint32, err error)
	answersForCaller func() (bool, error)
	groups           func(fd int) ([]uint32, error)
	securityLabel    func(fd int) (string, error)
	auditToken       func(fd int) ([8]uint32, error)
	openProcess      func(fd int) (pidfd int, err error)
	processExited    func(pidfd int) (bool, error)
	processPID       func(pidfd int) (int32, error)
	loopbackPeerUID  func(fd int) (uint32, error)
}

// answer is the answer of one implementation about one fact.
type answer struct {
	Value       string `json:"value,omitempty"`
	Error       string `json:"error,omitempty"`
	Unsupported bool   `json:"unsupported,omitempty"` // the error is errors.ErrUnsupported
}

// fact is a fact that check asks for, about a connection of this process to itself.
type fact struct {
	name     string
	ask      func(i implementation, fd int) (string, error)
	isTrue   func(value string) bool
	required bool
}

var facts = []fact{
	{"pid", askID(func(p *peercred.PeerCredentials) int64 { return int64(p.PID) }), isOneOf(os.Getpid(), 0), true}, // 0: not reported
	{"uid", askID(func(p *peercred.PeerCredentials) int64 { return int64(p.UID) }), isOneOf(os.Geteuid()), true},
	{"gid", askID(func(p *peercred.PeerCredentials) int64 { return int64(p.GID) }), isOneOf(os.Getegid()), true},
	{"groups", implementation.askGroups, areOurGroups, false},
	{"security label", implementation.askSecurityLabel, isAnything, false},
	{"process", implementation.askProcess, isOurProcess, false},
	{"audit token", implementation.askAuditToken, isAnything, false},
	{"loopback uid", implementation.askLoopbackUID, isOneOf(os.Geteuid()), false},
}

// key is the name of the fact in JSON, as in [peercred.Info].
func (f fact) key() string { return strings.ReplaceAll(f.name, " ", "_") }

func (f fact) askOf(i implementation, fd int) answer {
	value, err := f.ask(i, fd)
	if err != nil {
		return answer{Error: err.Error(), Unsupported: errors.Is(err, errors.ErrUnsupported)}
	}
	return answer{Value: value}
}

func askID(id func(*peercred.PeerCredentials) int64) func(implementation, int) (string, error) {
	return func(i implementation, fd int) (string, error) {
		p, err := i.askCredentials(fd)
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(id(p), 10), nil
	}
}

func (i implementation) askCredentials(fd int) (*peercred.PeerCredentials, error) {
	pid, uid, gid, err := i.credentials(fd)
	if err == nil {
		err = i.checkKernel()
	}
	if err != nil {
		return nil, err
	}
	return &peercred.PeerCredentials{PID: pid, UID: uid, GID: gid}, nil
}

func (i implementation) checkKernel() error {
	switch wrong, err := i.answersForCaller(); {
	case err != nil:
		return fmt.Errorf("it is not known whether the kernel names the caller as every peer: %w", err)
	case wrong:
		return errors.New("the kernel names the caller as the peer of every socket")
	}
	return nil
}

func (i implementation) askGroups(fd int) (string, error) {
	gids, err := i.groups(fd)
	if err != nil {
		return "", err
	}
	return joined(gids), nil
}

func (i implementation) askSecurityLabel(fd int) (string, error) { return i.securityLabel(fd) }

// askProcess opens a handle on the process. It returns whether the process is alive and, if
// the system reports it, the pid.
func (i implementation) askProcess(fd int) (string, error) {
	pidfd, err := i.openProcess(fd)
	if err != nil {
		return "", err
	}
	defer os.NewFile(uintptr(pidfd), "pidfd").Close()
	exited, err := i.processExited(pidfd)
	if err != nil {
		return "", err
	}
	state := map[bool]string{true: "ended", false: "alive"}[exited]
	switch pid, err := i.processPID(pidfd); {
	case errors.Is(err, errors.ErrUnsupported):
		return state, nil
	case err != nil:
		return "", err
	default:
		return fmt.Sprintf("%d,%s", pid, state), nil
	}
}

func (i implementation) askAuditToken(fd int) (string, error) {
	token, err := i.auditToken(fd)
	if err != nil {
		return "", err
	}
	return joined(token[:]), nil
}

// askLoopbackUID asks about a TCP connection of its own.
func (i implementation) askLoopbackUID(int) (string, error) {
	accepted, closeBoth, err := connectOverLoopback()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	defer closeBoth()
	var uid uint32
	var asked error
	if err := withDescriptor(accepted, func(fd int) { uid, asked = i.loopbackPeerUID(fd) }); err != nil {
		return "", err
	}
	return strconv.FormatUint(uint64(uid), 10), asked
}

// joined returns "none" if there are no numbers.
func joined(numbers []uint32) string {
	if len(numbers) == 0 {
		return "none"
	}
	var texts []string
	for _, n := range numbers {
		texts = append(texts, strconv.FormatUint(uint64(n), 10))
	}
	return strings.Join(texts, ",")
}

func isAnything(string) bool { return true }

func isOneOf(numbers ...int) func(string) bool {
	return func(value string) bool {
		return slices.ContainsFunc(numbers, func(n int) bool { return value == strconv.Itoa(n) })
	}
}

func isOurProcess(value string) bool {
	return value == "alive" || value == strconv.Itoa(os.Getpid())+",alive"
}

// areOurGroups compares the groups with getgroups(2). On systems other than Linux that call
// also returns the effective group, or asks the user database.
func areOurGroups(value string) bool {
	if runtime.GOOS != "linux" {
		return true
	}
	ours, err := os.Getgroups()
	if err != nil {
		return false
	}
	var gids []uint32
	for _, gid := range ours {
		gids = append(gids, uint32(gid))
	}
	return value == joined(gids)
}
