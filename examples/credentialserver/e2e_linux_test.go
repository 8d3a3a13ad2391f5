//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"golang.org/x/sys/unix"
)

// account is a user of this system.
type account struct {
	name     string
	uid, gid uint32
}

// The accounts of the tests are there on every Linux.
func lookUp(t *testing.T, name string) account {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip("this system lacks a user of the test: ", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		t.Fatal(err)
	}
	return account{name, uint32(uid), uint32(gid)}
}

func needCurl(t *testing.T) string {
	t.Helper()
	reexec.NeedRoot(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl, which is the client here: ", err)
	}
	return curl
}

// sharedDir is a directory that other users can enter, which t.TempDir's is not.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "credentialserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// process is the command as a process of its own.
type process struct {
	testServer
	cmd *exec.Cmd
}

func startProcess(t *testing.T, rules string, options ...func(*exec.Cmd)) *process {
	t.Helper()
	dir := sharedDir(t)
	p := &process{testServer: testServer{socket: filepath.Join(dir, "s"), rules: filepath.Join(dir, "rules.json"), log: newLogBook()}}
	p.writeRules(t, rules)
	p.cmd = exec.Command("/proc/self/exe", "--socket", p.socket, "--rules", p.rules)
	p.cmd.Env = append(os.Environ(), commandVariable+"=serve", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = p.log
	for _, option := range options {
		option(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	p.log.await(t, 1, fields{"msg": "serving"})
	return p
}

// hangup makes the process read rules, and waits for the nth message about that.
func (p *process) hangup(t *testing.T, rules, message string, n int) {
	t.Helper()
	p.writeRules(t, rules)
	must(t, p.cmd.Process.Signal(unix.SIGHUP))
	p.log.await(t, n, fields{"msg": message})
}

// end waits for the process, and wants the exit status 0 and no socket file.
func (p *process) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server: %v\n%s", err, p.log)
	}
	if _, err := os.Lstat(p.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is there still: %v", err)
	}
}

// curl runs curl as a user who has only the given groups.
func (p *process) curl(t *testing.T, as account, program string, args ...string) (stdout string, exit int) {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--max-time", itoa(int(patience.Seconds())), "--unix-socket", p.socket}, args...)
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: as.uid, Gid: as.gid}}
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// dialAs connects as a user. Linux uses the ids of the thread that calls connect(2). Go does
// not change ids that one thread sets for itself.
func dialAs(socket string, as account) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result)
		go func() {
			runtime.LockOSThread() // and no UnlockOSThread: the thread ends with this goroutine
			if err := takeIDs(as); err != nil {
				done <- result{nil, err}
				return
			}
			conn, err := net.Dial("unix", socket)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}
}

func takeIDs(as account) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(as.gid), uintptr(as.gid), uintptr(as.gid)); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(as.uid), uintptr(as.uid), uintptr(as.uid)); errno != 0 {
		return errno
	}
	return nil
}

const (
	credentialsURL = "http://localhost/v1/credentials"
	introspectURL  = "http://localhost/v1/introspect"
)

// TestEndToEnd runs the whole server with the real curl.
func TestEndToEnd(t *testing.T) {
	curl := needCurl(t)
	alice, bob, verifier := lookUp(t, "daemon"), lookUp(t, "bin"), lookUp(t, "nobody")
	withAlice := rulesFor([]string{alice.name}, []string{verifier.name})
	p := startProcess(t, withAlice)

	// Alice is given credentials, and Bob is not admitted.
	stdout, exit := p.curl(t, alice, curl, credentialsURL)
	var hers credentials
	if err := json.Unmarshal([]byte(stdout), &hers); err != nil || exit != 0 || hers.UID != alice.uid || hers.User != alice.name {
		t.Fatalf("alice: exit %d, %q, %v\n%s", exit, stdout, err, p.log)
	}
	p.log.await(t, 1, fields{
		"msg": "request", "uid": itoa(int(alice.uid)), "gid": itoa(int(alice.gid)), "method": "GET",
		"route": "/v1/credentials", "status": "200", "denied": "false",
	})
	if stdout, exit := p.curl(t, bob, curl, credentialsURL); exit == 0 || stdout != "" {
		t.Errorf("bob: exit %d, %q", exit, stdout)
	}
	p.log.await(t, 1, fields{
		"msg": "connection denied", "uid": itoa(int(bob.uid)), "denied": "true",
		"rule": fmt.Sprintf("any of (user %s(%d); user %s(%d))", alice.name, alice.uid, verifier.name, verifier.uid),
	})

	// The verifier may only ask about tokens. Alice may not ask.
	ask := []string{"--data", tokenBody(hers.Token), introspectURL}
	if stdout, exit := p.curl(t, verifier, curl, ask...); exit != 0 || stdout != active(hers) {
		t.Errorf("verifier: exit %d, %q", exit, stdout)
	}
	status := []string{"--output", "/dev/null", "--write-out", "%{http_code}"}
	if stdout, _ := p.curl(t, verifier, curl, append(status, credentialsURL)...); stdout != "403" {
		t.Errorf("verifier, for credentials: %q", stdout)
	}
	if stdout, _ := p.curl(t, alice, curl, append(status, ask...)...); stdout != "403" {
		t.Errorf("alice, for introspection: %q", stdout)
	}

	// Alice keeps a connection open from here on.
	kept := newClient(t, dialAs(p.socket, alice))
	kept.fetch(t)
	p.hangup(t, "{}}", notReloaded, 1)
	kept.fetch(t)
	if stdout, exit := p.curl(t, bob, curl, credentialsURL); exit == 0 || stdout != "" {
		t.Errorf("bob, after broken rules: exit %d, %q", exit, stdout)
	}
	p.hangup(t, rulesFor([]string{bob.name}, []string{verifier.name}), reloaded, 1)
	if got := kept.do(t, "GET", "/v1/credentials", ""); got != (answer{Status: 403}) {
		t.Errorf("alice, who was removed: %+v", got)
	}
	if stdout, exit := p.curl(t, alice, curl, credentialsURL); exit == 0 || stdout != "" {
		t.Errorf("alice, who was removed, anew: exit %d, %q", exit, stdout)
	}
	if stdout, _ := p.curl(t, verifier, curl, ask...); stdout != inactive {
		t.Errorf("verifier, of alice, who was removed: %q", stdout)
	}
	if stdout, exit := p.curl(t, bob, curl, credentialsURL); exit != 0 || !strings.Contains(stdout, `"user":"bin"`) {
		t.Errorf("bob, who was added: exit %d, %q", exit, stdout)
	}
	p.hangup(t, withAlice, reloaded, 2)
	again := kept.fetch(t)
	if kept.dials != 1 {
		t.Errorf("alice had %d connections, want one all the time", kept.dials)
	}

	// At the end the server waits for the verifier's request.
	held := hold(t, dialAs(p.socket, verifier))
	must(t, p.cmd.Process.Signal(unix.SIGTERM))
	p.log.await(t, 1, fields{"msg": stopping})
	if got := held.finish(t); got != inactive {
		t.Errorf("a request under way: %q", got)
	}
	p.end(t)
	// Those above, in this order: 1 and 3 of curl, 2 kept, 1 kept, 2 of curl, 1 kept, 1 held.
	if n := p.log.count(t, fields{"msg": "request"}); n != 11 {
		t.Errorf("%d lines for 11 requests:\n%s", n, p.log)
	}
	if n := p.log.count(t, fields{"msg": "connection denied"}); n != 3 {
		t.Errorf("%d lines for 3 denied connections:\n%s", n, p.log)
	}
	for _, secret := range []string{hers.Token, again.Token} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("a token is in the log:\n%s", p.log)
		}
	}
}

// TestHostileExecutable has a client whose path looks like further lines, and like commands
// to a terminal.
func TestHostileExecutable(t *testing.T) {
	curl := needCurl(t)
	if process := peercred.Support().Process; !process.Available {
		t.Skip("the executable of a client is not known here: ", process.Reason)
	}
	alice := lookUp(t, "daemon")
	p := startProcess(t, rulesFor([]string{alice.name}, nil))
	hostile := filepath.Join(filepath.Dir(p.socket), "x\ntime=now level=INFO msg=request uid=0 \"denied=false\x1b[2J\u009b")
	program, err := os.ReadFile(curl)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, hostile, string(program), 0o755)
	if _, exit := p.curl(t, alice, hostile, credentialsURL); exit != 0 {
		t.Errorf("exit %d\n%s", exit, p.log)
	}
	p.log.await(t, 1, fields{"msg": "request", "uid": itoa(int(alice.uid)), "executable": hostile})
	if lines, _ := p.log.read(); len(lines) != 2 || strings.ContainsAny(p.log.String(), "\x1b\u009b") {
		t.Errorf("want a line for the start and one for the request:\n%q", lines)
	}
}

// TestGroupOfClient names a user by the supplementary group that its process has.
func TestGroupOfClient(t *testing.T) {
	reexec.NeedRoot(t)
	alice, verifier := lookUp(t, "daemon"), lookUp(t, "nobody")
	group, err := user.LookupGroupId("2")
	if err != nil {
		t.Skip("this system lacks a group of the test: ", err)
	}
	rules := func(groups string) string {
		return fmt.Sprintf(`{"groups": [%s], "verifiers": {"users": [%q]}}`, groups, verifier.name)
	}
	byGroup := rules(strconv.Quote(group.Name))
	p := startProcess(t, byGroup)
	refused := newClient(t, dialAs(p.socket, alice))
	if response, err := refused.Get(credentialsURL); err == nil {
		response.Body.Close()
		t.Errorf("without the group: %v", response.Status)
	}
	curl := needCurl(t)
	text, err := p.curlInGroup(alice, 2, curl)
	var hers credentials
	if err := errors.Join(err, json.Unmarshal(text, &hers)); err != nil || hers.UID != alice.uid {
		t.Fatalf("%s, %v\n%s", text, err, p.log)
	}
	// Her process is gone, and the token has the group that it was issued by.
	ask := newClient(t, dialAs(p.socket, verifier))
	if got := ask.introspect(t, hers.Token); got != active(hers) {
		t.Errorf("%s, want %s", got, active(hers))
	}
	p.hangup(t, rules(""), reloaded, 1)
	if got := ask.introspect(t, hers.Token); got != inactive {
		t.Errorf("%s, of a group that is no longer named", got)
	}

	// If both her name and her group admitted her, either one keeps the token valid. Another
	// group does not keep it valid, and the name of another user does not either.
	byName := rulesFor([]string{alice.name}, []string{verifier.name})
	byBoth := fmt.Sprintf(`{"users": [%q], %s`, alice.name, byGroup[1:])
	bobToo, bobAlone := rulesFor([]string{"bin", alice.name}, []string{verifier.name}), rulesFor([]string{"bin"}, []string{verifier.name})
	reloads := 1
	for _, test := range []struct {
		then, now string
		want      bool
	}{{byBoth, byGroup, true}, {byBoth, byName, true}, {byName, byGroup, false}, {byGroup, byName, false}, {bobToo, bobAlone, false}, {bobToo, byName, true}} {
		reloads++
		p.hangup(t, test.then, reloaded, reloads)
		text, err = p.curlInGroup(alice, 2, curl)
		if err := errors.Join(err, json.Unmarshal(text, &hers)); err != nil {
			t.Fatalf("%s, %v\n%s", text, err, p.log)
		}
		reloads++
		p.hangup(t, test.now, reloaded, reloads)
		want := inactive
		if test.want {
			want = active(hers)
		}
		if got := ask.introspect(t, hers.Token); got != want {
			t.Errorf("issued by %s, asked about by %s: %s, want %s", test.then, test.now, got, want)
		}
	}
}

// curlInGroup fetches credentials as a user with a supplementary group.
func (p *process) curlInGroup(as account, group uint32, curl string) ([]byte, error) {
	cmd := exec.Command(curl, "--silent", "--unix-socket", p.socket, credentialsURL)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: as.uid, Gid: as.gid, Groups: []uint32{group}}}
	return cmd.Output()
}

// TestLogWithoutReader makes the reader of the log go away. The server goes on, and removes
// its socket at the end.
func TestLogWithoutReader(t *testing.T) {
	reexec.NeedRoot(t)
	reader, writer, err := os.Pipe()
	must(t, err)
	p := startProcess(t, rulesFor([]string{"root"}, nil), func(cmd *exec.Cmd) {
		log := cmd.Stderr
		cmd.Stderr = writer
		go func() {
			line, _ := bufio.NewReader(reader).ReadString('\n')
			reader.Close()
			io.WriteString(log, line)
		}()
	})
	writer.Close()
	newClient(t, dialer(p.socket)).fetch(t)
	must(t, p.cmd.Process.Signal(unix.SIGTERM))
	p.end(t)
}

// TestUnmappedUser runs the server in a user namespace where two users have the same uid,
// 65534, and are admitted by their group.
func TestUnmappedUser(t *testing.T) {
	reexec.NeedRoot(t)
	group, err := user.LookupGroupId("2")
	if err != nil {
		t.Skip("this system lacks a group of the test: ", err)
	}
	if err := exec.Command("unshare", "--user", "true").Run(); err != nil {
		t.Skip("needs unshare(1) and user namespaces: ", err)
	}
	p := startProcess(t, fmt.Sprintf(`{"groups": [%q]}`, group.Name), func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 10}},
		}
	})
	for _, uid := range []uint32{1, 3} {
		c := newClient(t, dialAs(p.socket, account{uid: uid, gid: 2}))
		if got := c.do(t, "GET", "/v1/credentials", ""); got != (answer{Status: 500}) {
			t.Errorf("uid %d: %+v, want 500", uid, got)
		}
	}
	c := newClient(t, dialAs(p.socket, account{uid: 0, gid: 2}))
	if got := c.fetch(t); got.UID != 0 {
		t.Errorf("%+v, want root's", got)
	}
	p.log.await(t, 2, fields{"msg": "request", "uid": "65534", "rule": "uid 65534", "denied": "true", "failed": "true"})
}

// TestSecondSignal ends a server that waits for a request at once.
func TestSecondSignal(t *testing.T) {
	reexec.NeedRoot(t)
	verifier := lookUp(t, "nobody")
	p := startProcess(t, rulesFor(nil, []string{verifier.name}))
	held := hold(t, dialAs(p.socket, verifier))
	must(t, p.cmd.Process.Signal(unix.SIGTERM))
	p.log.await(t, 1, fields{"msg": stopping})
	must(t, p.cmd.Process.Signal(unix.SIGTERM))
	err := p.cmd.Wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGTERM {
		t.Errorf("%v, want it killed by the signal", err)
	}
	if text, err := io.ReadAll(held.reader); len(text) != 0 {
		t.Errorf("%q, %v; want no answer", text, err)
	}
}
