//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
)

// In these tests one member of a group that the rules name has a user namespace with 65,536
// uids and as many groups. The memory and connections that such a user takes are bounded.

const floodVariable = "CREDENTIALSERVER_TEST_FLOOD"

func init() { commands["flood"] = runFlood }

// flood is the order to such a member: fetch credentials under each of so many uids, each on
// a connection of its own.
type flood struct {
	Socket string
	UIDs   int
	Hold   bool // all connections, until the end
}

// flooded is the member's report.
type flooded struct{ Served, Refused int }

// namedGroup is, in the namespace, the group that the rules name.
const namedGroup = 1 << 16

func runFlood() {
	var f flood
	err := json.Unmarshal([]byte(os.Getenv(floodVariable)), &f)
	if err == nil {
		err = f.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

func (f flood) run() error {
	groups := []int{namedGroup}
	for gid := range 1<<16 - 1 {
		groups = append(groups, gid)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	var got flooded
	var held []net.Conn
	for uid := range f.UIDs {
		conn, err := dialAs(f.Socket, account{uid: uint32(uid), gid: 0})()
		if err != nil {
			return err
		}
		if f.Hold {
			held = append(held, conn)
		}
		switch status, err := f.fetch(conn); {
		case err != nil:
			return err
		case status == http.StatusOK:
			got.Served++
		case status == 0:
			got.Refused++
		default:
			return fmt.Errorf("status %d", status)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
		return err
	}
	_, err := io.ReadAll(os.Stdin)
	for _, conn := range held {
		conn.Close()
	}
	return err
}

// fetch returns the status, 0 if the connection is closed without an answer.
func (f flood) fetch(conn net.Conn) (status int, err error) {
	connection := "close"
	if f.Hold {
		connection = "keep-alive"
	}
	fmt.Fprintf(conn, "GET /v1/credentials HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", connection)
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		return 0, conn.Close()
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, err
	}
	if f.Hold {
		return response.StatusCode, nil
	}
	_, err = io.ReadAll(response.Body)
	conn.Close()
	return response.StatusCode, err
}

// start lets the member begin, waits until it has finished, and returns its report. The
// returned function closes the member's connections.
func (f flood) start(t *testing.T, group uint32) (got flooded, end func()) {
	t.Helper()
	text, err := json.Marshal(f)
	must(t, err)
	const outside = 100_000
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), commandVariable+"=flood", floodVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: outside, Size: 1 << 16}},
		GidMappings: []syscall.SysProcIDMap{
			{HostID: outside, Size: 1 << 16}, {ContainerID: namedGroup, HostID: int(group), Size: 1},
		},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{},
	}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	must(t, json.NewDecoder(stdout).Decode(&got))
	return got, func() {
		stdin.Close()
		must(t, cmd.Wait())
	}
}

// startForGroup starts a server whose rules name a group and root.
func startForGroup(t *testing.T) *process {
	t.Helper()
	reexec.NeedRoot(t)
	group, err := user.LookupGroupId("2")
	if err != nil {
		t.Skip("this system lacks a group of the test: ", err)
	}
	if err := exec.Command("unshare", "--user", "true").Run(); err != nil {
		t.Skip("needs unshare(1) and user namespaces: ", err)
	}
	return startProcess(t, fmt.Sprintf(`{"users": ["root"], "groups": [%q]}`, group.Name), func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "GOGC=10") // so that the heap shows what is kept, not garbage
	})
}

// TestTokensOfManyUIDs measures the server's memory. To keep the 65,536 groups of each
// peer would take 256 KiB a token.
func TestTokensOfManyUIDs(t *testing.T) {
	const uids = 1024
	p := startForGroup(t)
	newClient(t, dialAs(p.socket, account{})).fetch(t)
	before := p.memory(t)
	got, end := flood{Socket: p.socket, UIDs: uids}.start(t, 2)
	end()
	if diff := cmp.Diff(flooded{Served: uids}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	grown := p.memory(t) - before
	t.Logf("the server takes %d KiB more", grown>>10)
	if grown > uids*64<<10 {
		t.Errorf("%d tokens take %d KiB each", uids, grown>>10/uids)
	}
}

// memory is what the process takes, in bytes: VmRSS in proc_pid_status(5).
func (p *process) memory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return kib << 10
}

// TestConnectionsOfManyUIDs holds more connections than there may be of all, one for
// each uid.
func TestConnectionsOfManyUIDs(t *testing.T) {
	p := startForGroup(t)
	got, end := flood{Socket: p.socket, UIDs: 600, Hold: true}.start(t, 2)
	if diff := cmp.Diff(flooded{Served: 512, Refused: 88}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const rule = "at most 64 connections of one user and 512 of all"
	p.log.await(t, 88, fields{"msg": "connection denied", "rule": rule, "reason": "512 of all are open"})
	end()
	// The server has seen that when it admits the next one, sooner or later.
	for hopeless := time.Now().Add(patience); time.Now().Before(hopeless); {
		response, err := newClient(t, dialAs(p.socket, account{})).Get(credentialsURL)
		if err == nil {
			response.Body.Close()
			return
		}
	}
	t.Error("nobody is admitted after the connections were closed")
}
