//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// commandVariable makes the test binary the command.
const commandVariable = "PEERCRED_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func runArgs(args ...string) (code int, stdout, stderr string) {
	var out, complaints bytes.Buffer
	code = run(context.Background(), args, &out, &complaints)
	return code, out.String(), complaints.String()
}

func TestUsage(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string // what they contain; nothing at all if empty
	}{
		{nil, 2, "", "Usage: peercred"},
		{[]string{"listen", "--datagram", "tcp:127.0.0.1:0"}, 2, "", "--datagram is for a path"},
		{[]string{"listen", "--datagram", ""}, 1, "", "the address is empty"},
		{[]string{"--help"}, 0, "Exit status", ""},
		{[]string{"-h"}, 0, "Exit status", ""},
		{[]string{"help"}, 0, "Exit status", ""},
		{[]string{"version"}, 0, "peercred ", ""},
		{[]string{"version"}, 0, " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + " " + peercred.Implementation + "\n", ""},
		{[]string{"--version"}, 0, "peercred ", ""},
		{[]string{"version", "extra"}, 2, "", `unexpected argument "extra"`},
		{[]string{"steal"}, 2, "", `no command "steal"`},
		{[]string{"dial", "-h"}, 0, "Usage: peercred dial", ""},
		{[]string{"check", "extra"}, 2, "", `unexpected argument "extra"`},
		{[]string{"demo", "extra"}, 2, "", `unexpected argument "extra"`},
		{[]string{"demo", "client"}, 2, "", `unexpected argument "client"`},
		{[]string{"demo", "--once"}, 2, "", "-once"},
		{[]string{"listen"}, 2, "", "missing ADDRESS: give the path of a socket, or @NAME"},
		{[]string{"dial", "--json"}, 2, "", "missing ADDRESS: give the path of a socket, or @NAME"},
		{[]string{"listen", "a", "b"}, 2, "", `unexpected argument "b"`},
		{[]string{"listen", "a", "--once", "b"}, 2, "", `unexpected argument "b"`},
		{[]string{"listen", socket, "--once", "--mode", "rw"}, 2, "", "octal"},
		{[]string{"listen", "--mode", "0", socket}, 2, "", "octal, from 1 to 777"},
		{[]string{"listen", "--mode", "1777", socket}, 2, "", "octal"},
		{[]string{"listen", "--mode", "-rw-rw----", socket}, 2, "", "octal"},
		{[]string{"listen", "--mode", "0666", "@x"}, 2, "", "no mode"},
		{[]string{"listen", "@x", "--group", "root"}, 2, "", "no mode"},
		{[]string{"listen", "@x", "--owner", "root"}, 2, "", "no mode"},
		{[]string{"listen", "@x", "--allow-shared-directory"}, 2, "", "no mode"},
		{[]string{"listen", socket, "--group", "no-such-name-here"}, 1, "", `: --group: unknown group "no-such-name-here"`},
		{[]string{"listen", socket, "--owner", "no-such-name-here"}, 1, "", `: --owner: unknown user "no-such-name-here"`},
		{[]string{"dial", "--once", socket}, 2, "", "-once"},
		{[]string{"dial", socket, "--timeout", "-1s"}, 2, "", "negative"},
		{[]string{"dial", socket, "--timeout", "5"}, 2, "", `invalid value "5" for flag -timeout: want a number with a unit, such as 5s` + "\n"},
		{[]string{"dial", socket, "--timeout", "0.5"}, 2, "", "want a number with a unit, such as 0.5s\n"},
		{[]string{"dial", socket, "--timeout", "soon"}, 2, "", "want a number with a unit, such as 500ms, 5s or 1m\n"},
		{[]string{"dial", socket, "--timeout", "0"}, 1, "", "no such file"},
		{[]string{"dial", socket}, 1, "", "no such file"},
		{[]string{"dial", socket, "--json"}, 1, "", "no such file"},
		{[]string{"dial", "--", "--json"}, 1, "", "dial unix --json: connect: no such file"},
		{[]string{"listen", filepath.Join(socket, "s")}, 1, "", "no such file"},
	} {
		code, stdout, stderr := runArgs(test.args...)
		if code != test.code || !contains(stdout, test.stdout) || !contains(stderr, test.stderr) {
			t.Errorf("peercred %q: exit %d, stdout %q, stderr %q; want %d, %q, %q", test.args, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}

// Each command documents itself: its flags, and its exit status.
func TestHelp(t *testing.T) {
	for name, flags := range map[string][]string{
		"check":  {"-json"},
		"listen": {"-json", "-once", "-mode MODE", "-group NAME", "-owner NAME", "-allow-shared-directory", "-allow-user NAME", "-allow-group NAME", "-allow-uid N"},
		"dial":   {"-json", "-timeout DURATION", "-allow-user NAME", "-allow-group NAME", "-allow-uid N"},
		"demo":   nil, "version": nil,
	} {
		code, stdout, stderr := runArgs(name, "--help")
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "Usage: peercred "+name) || !strings.Contains(stdout, "\n\nExit status: 0 ") {
			t.Errorf("peercred %s --help: exit %d, %s%s; want 0, a usage line and the exit status", name, code, stdout, stderr)
		}
		for _, flag := range flags {
			if !strings.Contains(stdout, "\n  "+flag) {
				t.Errorf("peercred %s --help does not have %s:\n%s", name, flag, stdout)
			}
		}
	}
	for name := range commands {
		if !strings.HasPrefix(name, "--") && !strings.Contains(usage, "\n  "+name+" ") {
			t.Errorf("peercred --help does not have %s", name)
		}
	}
}

func TestParseAnywhere(t *testing.T) {
	for _, test := range []struct {
		args, operands []string
		json           bool
		name           string
	}{
		{nil, nil, false, ""},
		{[]string{"a", "b"}, []string{"a", "b"}, false, ""},
		{[]string{"--json", "a"}, []string{"a"}, true, ""},
		{[]string{"a", "--json"}, []string{"a"}, true, ""},
		{[]string{"a", "--name", "b", "c", "-json"}, []string{"a", "c"}, true, "b"},
		{[]string{"--", "--json"}, []string{"--json"}, false, ""},
		{[]string{"a", "--", "--json", "b"}, []string{"a", "--json", "b"}, false, ""},
		{[]string{"--json", "--", "a", "--name"}, []string{"a", "--name"}, true, ""},
		{[]string{"-", "--json"}, []string{"-"}, true, ""},
	} {
		flags, asJSON := newFlags("test")
		name := flags.String("name", "", "")
		operands, err := parseAnywhere(flags, test.args)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
		}
		if diff := cmp.Diff(test.operands, operands); diff != "" || *asJSON != test.json || *name != test.name {
			t.Errorf("%q: json %v, name %q; want %v, %q (-want +got):\n%s", test.args, *asJSON, *name, test.json, test.name, diff)
		}
	}
}

func contains(text, want string) bool {
	return want == "" && text == "" || want != "" && strings.Contains(text, want)
}

func TestCheck(t *testing.T) {
	code, stdout, stderr := runArgs("check", "--json")
	var got report
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("exit %d, stdout %q, stderr %q: %v", code, stdout, stderr, err)
	}
	want := report{
		System: runtime.GOOS + "/" + runtime.GOARCH, Kernel: kernelRelease(), Linked: peercred.Implementation,
		Support: peercred.Support(),
	}
	if len(implementations) > 1 {
		want.Agree = new(true)
	}
	for _, i := range implementations {
		self := &peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
		if runtime.GOOS == "dragonfly" {
			self.PID = 0
		}
		want.Rows = append(want.Rows, answers{Implementation: i.name, PeerCredentials: self})
	}
	for n := range got.Rows {
		for _, f := range facts {
			if a := got.Rows[n].Facts[f.key()]; a != f.askOfThisProcess(t, implementations[n]) {
				t.Errorf("%s: check says %+v of %s", got.Rows[n].Implementation, a, f.name)
			}
		}
		got.Rows[n].Facts = nil
	}
	if diff := cmp.Diff(want, got); diff != "" || code != 0 {
		t.Errorf("exit %d, stderr %q (-want +got):\n%s", code, stderr, diff)
	}

	code, stdout, _ = runArgs("check")
	if several := len(implementations) > 1; code != 0 || strings.Contains(stdout, "  no\n") || strings.Contains(stdout, "  yes\n") != several {
		t.Errorf("exit %d:\n%s\nwant none that disagree, and any that agree: %v", code, stdout, several)
	}
	for name, f := range peercred.Support().Facts() {
		if !strings.Contains(stdout, "\n"+name+" ") || !strings.Contains(stdout, f.Reason) || !strings.Contains(stdout, f.Call) {
			t.Errorf("check does not show %s, %s%s:\n%s", name, f.Call, f.Reason, stdout)
		}
	}
}

// askOfThisProcess asks about another connection of this process to itself.
func (f fact) askOfThisProcess(t *testing.T, i implementation) (a answer) {
	t.Helper()
	conn, closeBoth, err := connectToSelf()
	if err != nil {
		t.Fatal(err)
	}
	defer closeBoth()
	if err := withDescriptor(conn, func(fd int) { a = f.askOf(i, fd) }); err != nil {
		t.Fatal(err)
	}
	return a
}

// fake is an implementation that reports credentials and nothing else.
func fake(name string, credentials func(int) (int32, uint32, uint32, error), kernel func() (bool, error)) implementation {
	return implementation{
		name: name, credentials: credentials, answersForCaller: kernel,
		groups:        func(int) ([]uint32, error) { return nil, errors.ErrUnsupported },
		securityLabel: func(int) (string, error) { return "", errors.ErrUnsupported },
		auditToken:    func(int) ([8]uint32, error) { return [8]uint32{}, errors.ErrUnsupported },
		openProcess:   func(int) (int, error) { return -1, errors.ErrUnsupported },

		loopbackPeerUID: func(int) (uint32, error) { return 0, errors.ErrUnsupported },
	}
}

// column is what check says of each fact under AGREE, without the footnotes' numbers.
func column(t *testing.T, stdout string) (agree []string) {
	t.Helper()
	_, table, ok := strings.Cut(stdout, "AGREE\n")
	if !ok {
		t.Fatalf("no column AGREE:\n%s", stdout)
	}
	lines := strings.SplitN(table, "\n", len(facts)+1)
	for _, line := range lines[:len(facts)] {
		words := strings.Fields(line)
		last, _, _ := strings.Cut(words[len(words)-1], "[")
		agree = append(agree, last)
	}
	return agree
}

// A single implementation has nothing to agree with, whether it is the only one that was
// asked or the only one that answered. A wrong answer is still wrong.
func TestCheckOfOneAlone(t *testing.T) {
	right := func(int) (int32, uint32, uint32, error) {
		return int32(os.Getpid()), uint32(os.Geteuid()), uint32(os.Getegid()), nil
	}
	stranger := func(int) (int32, uint32, uint32, error) { return 0, 4242, 4242, nil }
	goodKernel := func() (bool, error) { return false, nil }
	labelled := fake("a", right, goodKernel)
	labelled.securityLabel = func(int) (string, error) { return "a", nil }
	defer func(saved []implementation) { implementations = saved }(implementations)
	for _, test := range []struct {
		name  string
		rows  []implementation
		code  int
		agree *bool
		text  []string // of pid, uid, gid, groups, security label, process, audit token, loopback uid
	}{
		{"one, right", []implementation{labelled}, 0, nil, []string{"-", "-", "-", "-", "-", "-", "-", "-"}},
		{"one, wrong", []implementation{fake("a", stranger, goodKernel)}, 1, new(false), []string{"-", "no", "no", "-", "-", "-", "-", "-"}},
		{"two, one reports the label", []implementation{labelled, fake("b", right, goodKernel)}, 0, new(true), []string{"yes", "yes", "yes", "yes", "-", "yes", "yes", "yes"}},
		{"two alike", []implementation{labelled, labelled}, 0, new(true), []string{"yes", "yes", "yes", "yes", "yes", "yes", "yes", "yes"}},
		{"none", nil, 1, new(false), []string{"no", "no", "no", "no", "no", "no", "no", "no"}},
	} {
		implementations = test.rows
		code, stdout, _ := runArgs("check")
		if diff := cmp.Diff(test.text, column(t, stdout)); diff != "" || code != test.code {
			t.Errorf("%s: exit %d, want %d (-want +got):\n%s\n%s", test.name, code, test.code, diff, stdout)
		}
		if explained := strings.Contains(stdout, "only one implementation"); explained != slices.Contains(test.text, "-") {
			t.Errorf("%s: the dash is explained: %v:\n%s", test.name, explained, stdout)
		}
		code, stdout, _ = runArgs("check", "--json")
		var got struct{ Agree *bool }
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.agree, got.Agree); diff != "" || code != test.code {
			t.Errorf("%s: exit %d with --json, want %d (-want +got):\n%s", test.name, code, test.code, diff)
		}
	}
}

// check exits with 1 if an implementation does not answer, if its answer differs from those
// of the others, or if all answers are wrong.
func TestCheckFails(t *testing.T) {
	right := func(int) (int32, uint32, uint32, error) {
		return int32(os.Getpid()), uint32(os.Geteuid()), uint32(os.Getegid()), nil
	}
	withoutPID := func(int) (int32, uint32, uint32, error) { return 0, uint32(os.Geteuid()), uint32(os.Getegid()), nil }
	stranger := func(int) (int32, uint32, uint32, error) { return 1, 4242, 4242, nil }
	refuses := func(int) (int32, uint32, uint32, error) { return 0, 0, 0, unix.ENOPROTOOPT }
	goodKernel := func() (bool, error) { return false, nil }
	badKernel := func() (bool, error) { return true, nil }
	blindKernel := func() (bool, error) { return false, unix.EMFILE }
	overLoopback := fake("b", right, goodKernel)
	overLoopback.loopbackPeerUID = func(int) (uint32, error) { return 4242, nil }
	defer func(saved []implementation) { implementations = saved }(implementations)
	for _, test := range []struct {
		name string
		rows []implementation
		code int
		says string
	}{
		{"two that are right", []implementation{fake("a", right, goodKernel), fake("b", right, goodKernel)}, 0, "yes"},
		{"one reports another user over loopback", []implementation{fake("a", right, goodKernel), overLoopback}, 1, "no"},
		{"one reports no pid", []implementation{fake("a", right, goodKernel), fake("b", withoutPID, goodKernel)}, 1, "no"},
		{"both report no pid", []implementation{fake("a", withoutPID, goodKernel), fake("b", withoutPID, goodKernel)}, 0, "yes"},
		{"one is wrong", []implementation{fake("a", right, goodKernel), fake("b", stranger, goodKernel)}, 1, "4242"},
		{"both are wrong", []implementation{fake("a", stranger, goodKernel), fake("b", stranger, goodKernel)}, 1, "4242"},
		{"one does not answer", []implementation{fake("a", right, goodKernel), fake("b", refuses, goodKernel)}, 1, "-[1]"},
		{"none answers", []implementation{fake("a", refuses, goodKernel)}, 1, "[1] protocol not available"},
		{"a kernel that answers for the caller", []implementation{fake("a", right, badKernel)}, 1, "names the caller"},
		{"a kernel that cannot be asked", []implementation{fake("a", right, blindKernel)}, 1, "it is not known whether"},
		{"nobody to ask", nil, 1, "AGREE"},
	} {
		implementations = test.rows
		if code, stdout, _ := runArgs("check"); code != test.code || !strings.Contains(stdout, test.says) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", test.name, code, test.code, test.says, stdout)
		}
		if code, stdout, _ := runArgs("check", "--json"); code != test.code || !strings.Contains(stdout, `"agree"`) {
			t.Errorf("%s: exit %d with --json, want %d:\n%s", test.name, code, test.code, stdout)
		}
	}
}

// The check also fails if the answers about any other fact are wrong. A fact that an
// implementation does not support is not a failure.
func TestCheckFailsOnEachFact(t *testing.T) {
	groups := func(gids ...uint32) func(*implementation) {
		return func(i *implementation) { i.groups = func(int) ([]uint32, error) { return gids, nil } }
	}
	label := func(label string, err error) func(*implementation) {
		return func(i *implementation) { i.securityLabel = func(int) (string, error) { return label, err } }
	}
	token := func(first uint32) func(*implementation) {
		return func(i *implementation) {
			i.auditToken = func(int) ([8]uint32, error) { return [8]uint32{first}, nil }
		}
	}
	process := func(pid int, exited bool) func(*implementation) {
		return func(i *implementation) {
			i.openProcess = func(int) (int, error) { return unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0) }
			i.processExited = func(int) (bool, error) { return exited, nil }
			i.processPID = func(int) (int32, error) { return int32(pid), nil }
		}
	}
	unsupported := func(*implementation) {}
	self := os.Getpid()
	right := func(int) (int32, uint32, uint32, error) {
		return int32(self), uint32(os.Geteuid()), uint32(os.Getegid()), nil
	}
	goodKernel := func() (bool, error) { return false, nil }
	strangerGroups := map[bool]int{true: 1, false: 0}[runtime.GOOS == "linux"] // elsewhere nobody knows better
	defer func(saved []implementation) { implementations = saved }(implementations)
	for _, test := range []struct {
		name string
		a, b func(*implementation)
		code int
	}{
		{"nothing but credentials", unsupported, unsupported, 0},
		{"other groups", groups(1), groups(2), 1},
		{"groups that we do not have", groups(4242, 4243), groups(4242, 4243), strangerGroups},
		{"another label", label("a", nil), label("b", nil), 1},
		{"the same label", label("a", nil), label("a", nil), 0},
		{"a label that one does not support", label("a", nil), unsupported, 0},
		{"a label that one fails to get", label("a", nil), label("", unix.EPERM), 1},
		{"a label that both fail to get", label("", unix.EPERM), label("", unix.EPERM), 1},
		{"another token", token(1), token(2), 1},
		{"the same process", process(self, false), process(self, false), 0},
		{"another process", process(self, false), process(1, false), 1},
		{"another process, both", process(1, false), process(1, false), 1},
		{"a process that has ended", process(self, true), process(self, true), 1},
	} {
		a, b := fake("a", right, goodKernel), fake("b", right, goodKernel)
		test.a(&a)
		test.b(&b)
		implementations = []implementation{a, b}
		if code, stdout, _ := runArgs("check"); code != test.code {
			t.Errorf("%s: exit %d, want %d:\n%s", test.name, code, test.code, stdout)
		}
	}
}

// process is the command in a process of its own.
type process struct {
	*exec.Cmd
	stdout, stderr *bufio.Reader
}

// newProcess is the command, not started yet.
func newProcess(t *testing.T, args ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(executable, args...)}
	p.Env = append(os.Environ(), commandVariable+"=1", "GORACE=atexit_sleep_ms=0")
	return p
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := newProcess(t, args...)
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.stderr = bufio.NewReader(stdout), bufio.NewReader(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

func newPeer(ids *peercred.PeerCredentials) peer {
	return peer{PeerCredentials: ids, User: userName(ids.UID), Group: groupName(ids.GID)}
}

// startListener starts "peercred listen" and waits until it listens.
func startListener(t *testing.T, args ...string) *process {
	t.Helper()
	p := start(t, append([]string{"listen"}, args...)...)
	if line, err := p.stderr.ReadString('\n'); !strings.HasPrefix(line, "listening on ") {
		t.Fatalf("peercred listen %q said %q, %v", args, line, err)
	}
	return p
}

func (p *process) end(t *testing.T) (code int, stdout, stderr string) {
	t.Helper()
	out, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	complaints, err := io.ReadAll(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	return p.ProcessState.ExitCode(), string(out), string(complaints)
}

func TestListenAndDial(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so dial denies the server")
	}
	addresses := []string{filepath.Join(t.TempDir(), "s")}
	if runtime.GOOS == "linux" {
		addresses = append(addresses, fmt.Sprintf("@peercred-listen-%d", os.Getpid()))
	}
	for _, address := range addresses {
		listener := startListener(t, "--once", "--json", address)
		dialer := start(t, "dial", "--json", address)
		dialCode, dialSaw, dialSaid := dialer.end(t)
		listenCode, listenSaw, listenSaid := listener.end(t)
		if dialCode != 0 || listenCode != 0 {
			t.Fatalf("%s: dial: exit %d, %s%s\nlisten: exit %d, %s%s", address, dialCode, dialSaw, dialSaid, listenCode, listenSaw, listenSaid)
		}
		for name, test := range map[string]struct {
			saw string
			pid int
		}{"dial": {dialSaw, listener.Process.Pid}, "listen": {listenSaw, dialer.Process.Pid}} {
			var got peer
			if err := json.Unmarshal([]byte(test.saw), &got); err != nil {
				t.Errorf("%s printed %q: %v", name, test.saw, err)
				continue
			}
			want := newPeer(&peercred.PeerCredentials{PID: int32(test.pid), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})
			if runtime.GOOS == "dragonfly" {
				want.PID = 0
			}
			told := peer{PeerCredentials: got.PeerCredentials, User: got.User, Group: got.Group}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("%s on %s (-want +got):\n%s", name, address, diff)
			}
		}
	}
}

// A peer that no --allow flag names is denied, at either end.
func TestAllow(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so dial denies the server")
	}
	us, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Skipf("needs a user that has a name: %v", err)
	}
	ourGroup, err := user.LookupGroupId(strconv.Itoa(os.Getegid()))
	if err != nil {
		t.Skipf("needs a group that has a name: %v", err)
	}
	other := strconv.Itoa(os.Geteuid() + 1)
	stranger, strangeGroup := "nobody", "daemon"
	if us.Username == stranger || ourGroup.Name == strangeGroup {
		stranger, strangeGroup = "root", "root"
	}
	for _, test := range []struct {
		allow []string
		in    bool
	}{
		{nil, true},
		{[]string{"--allow-user", stranger}, false},
		{[]string{"--allow-group", strangeGroup}, false},
		{[]string{"--allow-user", stranger, "--allow-group", ourGroup.Name}, true},
		{[]string{"--allow-uid", us.Uid}, true},
		{[]string{"--allow-user", us.Username}, true},
		{[]string{"--allow-group", ourGroup.Name}, true},
		{[]string{"--allow-uid", other}, false},
		{[]string{"--allow-uid", other, "--allow-uid", us.Uid}, true},
	} {
		path := filepath.Join(t.TempDir(), "s")
		listener := startListener(t, append(test.allow, path)...)
		code, _, stderr := start(t, append(append([]string{"dial"}, test.allow...), path)...).end(t)
		if want := map[bool]int{true: 0, false: 1}[test.in]; code != want || test.in == strings.Contains(stderr, "peer denied") {
			t.Errorf("dial %q: exit %d, %s; want %d", test.allow, code, stderr, want)
		}
		if test.in {
			if line, err := listener.stdout.ReadString('\n'); !strings.HasPrefix(line, "pid=") || err != nil {
				t.Errorf("listen %q says %q, %v", test.allow, line, err)
			}
		} else if line, err := listener.stderr.ReadString('\n'); !strings.HasPrefix(line, "peercred listen: peer denied, pid=") || err != nil {
			t.Errorf("listen %q complains %q, %v", test.allow, line, err)
		}
		listener.Process.Signal(unix.SIGTERM)
		if code, stdout, stderr := listener.end(t); code != 0 || strings.Contains(stdout, "pid=") || stderr != "" {
			t.Errorf("listen %q: exit %d, %q, %q", test.allow, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{
		{"--allow-uid", "-1"}, {"--allow-uid", "4294967295"}, {"--allow-uid", "root"}, {"--allow-user", "no-such-name-here"}, {"--allow-group", "no-such-name-here"},
	} {
		for _, command := range []string{"listen", "dial"} {
			if code, _, stderr := runArgs(append(append([]string{command}, args...), "s")...); code != 2 || !strings.Contains(stderr, args[0]) {
				t.Errorf("%s %q: exit %d, %s; want 2 and the flag's name", command, args, code, stderr)
			}
		}
	}
}

// Each fact has a value or a reason. The values are those that this system reports.
func TestListenShowsAllFacts(t *testing.T) {
	if runtime.GOOS == "netbsd" {
		t.Skip("some releases of NetBSD name the caller itself on the connecting end, so dial denies the server")
	}
	path := filepath.Join(t.TempDir(), "s")
	listener := startListener(t, "--once", "--json", path)
	dialer := newProcess(t, "dial", path, "--timeout", "1m") // it lives until it is described
	want := peercred.Support()
	groups := []uint32{}
	if os.Geteuid() == 0 && runtime.GOOS == "linux" {
		groups = []uint32{4, 27, 4242}
		dialer.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 0, Gid: 0, Groups: groups}}
	}
	if err := dialer.Start(); err != nil {
		t.Fatal(err)
	}
	code, saw, said := listener.end(t)
	if err := dialer.Wait(); err != nil {
		t.Errorf("dial: %v", err)
	}
	var got peer
	if err := json.Unmarshal([]byte(saw), &got); err != nil || code != 0 {
		t.Fatalf("exit %d, %q %s: %v", code, saw, said, err)
	}
	for _, test := range []struct {
		fact    string
		told    bool
		support peercred.Fact
	}{
		{"groups", got.Groups != nil, want.Groups},
		{"security_label", got.Label != "", want.SecurityLabel},
		{"executable", got.Executable != "", want.Process},
		{"start_time", !got.StartTime.IsZero(), want.Process},
	} {
		if reason := got.Unavailable[test.fact]; test.told != test.support.Available || test.told == (reason != "") {
			t.Errorf("%s is reported: %v (%q), want %v:\n%s", test.fact, test.told, reason, test.support.Available, saw)
		}
	}
	if got.Groups != nil && runtime.GOOS == "linux" && os.Geteuid() == 0 {
		if diff := cmp.Diff(newGroups(groups), got.Groups); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
	}
	if executable, err := os.Executable(); want.Process.Available && (err != nil || got.Executable != executable) {
		t.Errorf("the executable is %q, want %q (%v)", got.Executable, executable, err)
	}
}

func TestPeerText(t *testing.T) {
	root := newPeer(&peercred.PeerCredentials{PID: 12, UID: 0, GID: 4294967294})
	full := root
	full.Groups = []group{{4242, ""}, {27, "sudo"}}
	full.Label, full.Executable = "system_u:system_r:sshd_t:s0", "/usr/sbin/sshd"
	full.StartTime = time.Unix(1, 5)
	bare := root
	bare.has("groups", errors.New("no groups"))
	bare.has("security_label", errors.New("no LSM"))
	for _, name := range []string{"executable", "start_time"} {
		bare.has(name, errors.New("no process"))
	}
	hostile := full
	hostile.Groups = []group{}
	hostile.Executable, hostile.Label = "/tmp/x uid=0\n\x1b[2Jpid=1", "a\u202eb\xff"
	var notes footnotes
	const ids = "pid=12 uid=0(root) gid=4294967294 "
	for _, test := range []struct {
		peer peer
		want string
	}{
		{full, ids + "groups=4242,27(sudo) label=system_u:system_r:sshd_t:s0 exe=/usr/sbin/sshd start=1970-01-01T00:00:01Z\n"},
		{bare, ids + "groups=-[1] exe=-[2] start=-[2]\n  no security label: no LSM\n  [1] no groups\n  [2] no process\n"},
		{bare, ids + "groups=-[1] exe=-[2] start=-[2]\n"}, // the notes are known by now
		{hostile, ids + `groups=none label="a\u202eb\xff" exe="/tmp/x uid=0\n\x1b[2Jpid=1" start=1970-01-01T00:00:01Z` + "\n"},
	} {
		var got bytes.Buffer
		if err := test.peer.show(&got, false, &notes); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A reason leaves out what differs between peers. Otherwise each peer would have a footnote.
func TestReasonsAreAlike(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&peercred.ErrPeerProcessGone{PID: 4711}, "the peer's process is gone"},
		{&fs.PathError{Op: "readlink", Path: "/proc/4711/exe", Err: unix.EACCES}, "exe of the process: permission denied (it requires the same user, or CAP_SYS_PTRACE)"},
		{&fs.PathError{Op: "readlink", Path: "/proc/4711/exe", Err: unix.ENOENT}, "exe of the process: no such file or directory (it has no program now: it is ending, or executing another)"},
		{&fs.PathError{Op: "open", Path: "/proc/4711/stat", Err: unix.ENOENT}, "stat of the process: no such file or directory (it has no program now: it is ending, or executing another)"},
		{fmt.Errorf("%w: %w", &peercred.ErrPeerCredentialsUnavailable{Platform: "linux", Reason: "/proc denies it"}, unix.EACCES), "/proc denies it"},
		{fmt.Errorf("asked: %w", &peercred.ErrPeerCredentialsUnavailable{Platform: "linux", Reason: "too old"}), "too old"},
		{unix.EMFILE, "too many open files"},
	} {
		if got := reason(test.err); got != test.want {
			t.Errorf("reason(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}

// The text about a peer is one line, however many groups the peer has.
func TestManyGroupsAreCut(t *testing.T) {
	gids := make([]uint32, 65_536)
	for n := range gids {
		gids[n] = 4_000_000_000 + uint32(n)
	}
	groups := newGroups(gids)
	text := groupsText(groups)
	if want := "4000000063,and-65472-more"; len(groups) != len(gids) || !strings.HasSuffix(text, want) || strings.Count(text, ",") != maxNamed {
		t.Errorf("%d groups are %q, want %d that end in %q", len(groups), text, maxNamed, want)
	}
	if text := groupsText(groups[:maxNamed]); strings.Contains(text, "more") {
		t.Errorf("%d groups are cut: %q", maxNamed, text)
	}
}

// A signal that ends the command also removes its socket file.
func TestInterruptRemovesSocketFile(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		path := filepath.Join(t.TempDir(), "s")
		p := startListener(t, path)
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
		p.Process.Signal(signal)
		code, stdout, stderr := p.end(t)
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) || code != 0 || stdout+stderr != "" {
			t.Errorf("%v: exit %d, %s%s, Lstat says %v; want 0, nothing, and no file", signal, code, stdout, stderr, err)
		}
		assertEmpty(t, filepath.Dir(path))
	}
}

// If the reader of the output goes away, as head(1) does, the command ends without a message.
func TestBrokenPipe(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"check", "--json"}, {"version"}} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		read.Close()
		var stderr bytes.Buffer
		p := newProcess(t, args...)
		p.Stdout, p.Stderr = write, &stderr
		err = p.Run()
		write.Close()
		if code := p.ProcessState.ExitCode(); code != exitPipe || stderr.String() != "" {
			t.Errorf("peercred %q: %v, %q, want exit %d and no message", args, err, &stderr, exitPipe)
		}
	}
}

// It also removes the socket file.
func TestBrokenPipeRemovesSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, "listen", path)
	p.Stdout = write
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.Process.Kill()
	write.Close()
	read.Close()
	complaints := bufio.NewReader(stderr)
	if _, err := complaints.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said, _ := io.ReadAll(complaints)
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != exitPipe || len(said) > 0 {
		t.Errorf("exit %d, %s, want %d and no message", code, said, exitPipe)
	}
	assertEmpty(t, filepath.Dir(path))
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s holds %v, %v, want nothing", dir, entries, err)
	}
}
