//go:build !android

package peercred_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// In these tests a kernel, or a sandbox in front of it, fails a call, or reports success and
// writes nothing. strace or a seccomp filter (see [callAnswer]) does that.

// runForged runs a helper while strace changes the answer of a call, and reads its report.
// The helper ends by itself. inject is in strace's syntax: CALL:error=E, retval=N, or
// poke_exit=@argI=HEX for the written bytes, and when=N for only the Nth call.
func runForged(t *testing.T, r role, inject string, report any) {
	t.Helper()
	seccomp.NeedNotification(t)
	answer, err := answerOfStrace(inject)
	if err != nil {
		t.Fatalf("%s: %v", inject, err)
	}
	r.Answer = &answer
	start(t, r).Decode(report)
}

var callNumbers = map[string][]uintptr{
	"bind": {unix.SYS_BIND}, "connect": {unix.SYS_CONNECT}, "getsockname": {unix.SYS_GETSOCKNAME}, "getsockopt": {unix.SYS_GETSOCKOPT},
	"ioctl": {unix.SYS_IOCTL}, "poll": {pollCalls[0].Number, pollCalls[len(pollCalls)-1].Number},
	"socket": {unix.SYS_SOCKET}, "socketpair": {unix.SYS_SOCKETPAIR},
}

func answerOfStrace(inject string) (a callAnswer, err error) {
	call, rest, _ := strings.Cut(inject, ":")
	a.Numbers, a.Made = callNumbers[call], true
	for word := range strings.SplitSeq(rest, ":") {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "error":
			a.Made = false
			for a.Errno = 1; unix.ErrnoName(a.Errno) != value; a.Errno++ {
			}
		case "retval":
			a.Made = false
			a.Result, err = strconv.ParseInt(value, 0, 64)
		case "when":
			a.When, err = strconv.Atoi(value)
		case "poke_exit":
			a.Writes = map[int][]byte{}
			for poke := range strings.SplitSeq(value, ",") {
				argument, text, _ := strings.Cut(strings.TrimPrefix(poke, "@arg"), "=")
				number, wrong := strconv.Atoi(argument)
				bytes, badHex := hex.DecodeString(text)
				a.Writes[number], err = bytes, errors.Join(err, wrong, badHex)
			}
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// injected is runForged for getsockopt.
func injected(t *testing.T, r role, inject string) (got report) {
	t.Helper()
	runForged(t, r, "getsockopt:"+inject, &got)
	return got
}

// emulatorVariable names the emulator of our system calls, if there is one.
const emulatorVariable = "PEERCRED_TEST_EMULATOR"

// needOwnCalls skips a test of the arguments that strace shows. Under an emulator of system
// calls those are the emulator's.
func needOwnCalls(t *testing.T) {
	t.Helper()
	if emulator := os.Getenv(emulatorVariable); emulator != "" {
		t.Skip("needs system calls of its own, to see their arguments: those that strace sees are of " + emulator)
	}
}

// sanitizerVariable names the sanitizer that reads all bytes that a call claims to have
// written, if there is one.
const sanitizerVariable = "PEERCRED_TEST_SANITIZER"

// needLengthsUnread skips a test of lengths that no kernel reports. A sanitizer would end the
// process, or mark gigabytes as written, before our check.
func needLengthsUnread(t *testing.T) {
	t.Helper()
	if sanitizer := os.Getenv(sanitizerVariable); sanitizer != "" {
		t.Skip("needs forged lengths to reach it, which end in " + sanitizer)
	}
}

func TestTrap01InjectedAnswers(t *testing.T) {
	listener := listen(t, "unix")
	const prefix = "failed to get peer credentials: linux: getsockopt(SO_PEERCRED): "
	for _, test := range []struct {
		inject  string
		errno   unix.Errno
		message string
	}{
		{"retval=0", unix.EPROTO, prefix + "protocol error"},
		{"error=EPERM", unix.EPERM, prefix + "operation not permitted"},
		{"error=ENOBUFS", unix.ENOBUFS, prefix + "no buffer space available"},
		{"error=EINTR", unix.EINTR, prefix + "interrupted system call"},
		{"error=ENOPROTOOPT", unix.ENOPROTOOPT, prefix + "protocol not available"},
		{"error=ENOSYS", unix.ENOSYS, "peer credentials unavailable on linux: getsockopt(SO_PEERCRED): function not implemented"},
	} {
		t.Run(test.inject, func(t *testing.T) {
			got := injected(t, role{Do: "ask once", Network: "unix", Address: listener.Addr().String()}, test.inject)
			if len(got.Implementations) != len(implementations) {
				t.Errorf("%d implementations answered, want %d", len(got.Implementations), len(implementations))
			}
			for name, a := range got.Implementations {
				if want := refused(test.errno); a != want {
					t.Errorf("%s.Credentials = %+v, want %+v", name, a, want)
				}
			}
			if got.Peer != nil || !strings.HasPrefix(got.Err, test.message) {
				t.Errorf("GetPeerCredentials = %v, %q, want %q", got.Peer, got.Err, test.message)
			}
		})
	}
}

// questionsAboutAFile is how many times getsockopt is called about a connected
// *os.File whose peer is this process: family, credentials, the same of a fresh
// socket, type, and whether it listens.
const questionsAboutAFile = 5

// The same for each check of a descriptor of unknown kind. If success without an answer read
// as "does not listen", a listening socket would give its own ids.
func TestTrap01InjectedChecks(t *testing.T) {
	for _, do := range []string{"ask a listening file", "ask a connected file"} {
		for when := 1; when <= questionsAboutAFile+1; when++ {
			for _, forged := range []string{"retval=0", "error=EPERM", "error=ENOPROTOOPT"} {
				inject := fmt.Sprintf("%s:when=%d", forged, when)
				t.Run(do+" "+inject, func(t *testing.T) {
					got := injected(t, role{Do: do}, inject)
					answered := do == "ask a connected file" && when > questionsAboutAFile
					if (got.Peer != nil) != answered || (got.Peer != nil) == (got.Err != "") {
						t.Errorf("%v, %q; want a value: %v", got.Peer, got.Err, answered)
					}
				})
			}
		}
	}
}

// The second call about a socket of another family asks for its type. If that fails, the
// error names no kind.
func TestInjectedKind(t *testing.T) {
	for inject, want := range map[string]string{
		"error=EPERM:when=2": "failed to get peer credentials: linux: find out the descriptor's family: operation not permitted",
		"retval=0:when=2":    "failed to get peer credentials: linux: find out the descriptor's family: protocol error",
		"error=EPERM:when=3": "peer credentials only available for Unix sockets, got TCP",
	} {
		t.Run(inject, func(t *testing.T) {
			if got := injected(t, role{Do: "ask a TCP file"}, inject); got.Peer != nil || got.Err != want {
				t.Errorf("%v, %q, want %q", got.Peer, got.Err, want)
			}
		})
	}
}

// Two more sockets check whether the kernel confuses the ends of a packet connection. If the
// check does not pass, the answer is an error.
func TestInjectedPacketEnds(t *testing.T) {
	listener := listen(t, "unixpacket")
	const prefix = "failed to get peer credentials: linux: check that the socket can have a peer: "
	confused := "getsockopt:poke_exit=@arg4=" + words(uint32(os.Getpid()), 0, 0) + ":when=4"
	for _, test := range []struct {
		inject    string
		questions int
		want      string // "" for an answer to the last
	}{
		{"bind:error=EINVAL:when=2", 1, ""}, // there is one
		{"socket:error=EMFILE:when=2", 1, prefix + "too many open files"},
		{"socket:error=EMFILE:when=3", 1, prefix + "too many open files"},
		{"socket:error=ESOCKTNOSUPPORT:when=2", 1, prefix + "socket type not supported"},
		{"bind:error=EACCES", 1, prefix + "permission denied"},
		{"bind:error=EACCES", 2, prefix + "permission denied"},
		{"bind:error=EACCES:when=1", 2, ""},
		{"getsockname:error=ENOBUFS", 1, prefix + "no buffer space available"},
		{"connect:error=EPERM:when=2", 1, prefix + "operation not permitted"},
		{"connect:retval=0:when=2", 1, prefix + "protocol error"},
		{"getsockopt:error=EPERM:when=4", 1, prefix + "operation not permitted"},
		{"getsockopt:error=EINVAL:when=4", 1, prefix + "invalid argument"},
		{"getsockopt:error=ENOTCONN:when=4", 1, ""},
		{confused, 1, "peer credentials unavailable on linux: the kernel names each end of a SOCK_SEQPACKET connection as its own peer"},
	} {
		t.Run(fmt.Sprintf("%s, question %d", test.inject, test.questions), func(t *testing.T) {
			r := role{Do: "ask a packet file", Address: listener.Addr().String(), Count: test.questions}
			var got report
			runForged(t, r, test.inject, &got)
			if (got.Peer != nil) != (test.want == "") || !strings.HasPrefix(got.Err, test.want) {
				t.Errorf("%v, %q, want %q", got.Peer, got.Err, test.want)
			}
		})
	}
}

// The same for the other questions. Every getsockopt of a helper is forged. The helper asks
// once through each implementation and once through the public function.
func TestTrap01InjectedFacts(t *testing.T) {
	listener := listen(t, "unix")
	for _, fact := range []struct{ do, call, unwritten, lacks string }{
		{"ask groups", "getsockopt(SO_PEERGROUPS)", "protocol error", ": this kernel does not have it; Linux has it since 4.13"},
		{"ask label", "getsockopt(SO_PEERSEC)", "the label is empty", ": no Linux security module labels this socket"},
		{"ask process", "getsockopt(SO_PEERPIDFD)", "protocol error", ": this kernel does not have it; Linux has it since 6.5"},
	} {
		for _, test := range []struct{ inject, says string }{
			{"retval=0", fact.unwritten},
			{"error=EPERM", "operation not permitted"},
			{"error=EINTR", "interrupted system call"},
			{"error=ENOBUFS", "no buffer space available"},
			{"error=ENOPROTOOPT", "unavailable on linux: " + fact.call + fact.lacks},
			{"error=ENOSYS", "unavailable on linux: " + fact.call},
			{"error=ERANGE", ""},
			{"error=ENODATA", map[string]string{"ask label": "no data available"}[fact.do]},
		} {
			t.Run(fact.do+" "+test.inject, func(t *testing.T) {
				got := injected(t, role{Do: fact.do, Network: "unix", Address: listener.Addr().String()}, test.inject)
				if len(got.Implementations) != len(implementations) {
					t.Errorf("%d implementations answered, want %d", len(got.Implementations), len(implementations))
				}
				errs := map[string]bool{}
				for _, a := range got.Implementations {
					errs[a.Err] = true
				}
				if len(errs) != 1 || errs[""] {
					t.Errorf("the implementations say %v, want one and the same error", got.Implementations)
				}
				if test.inject == "retval=0" && !errs[fact.unwritten] {
					t.Errorf("the implementations say %v, want %q", got.Implementations, fact.unwritten)
				}
				if test.inject == "error=ENODATA" && fact.do != "ask label" && !strings.Contains(got.Err, "not connected") {
					t.Errorf("ENODATA, which means no peer, is %q", got.Err)
				}
				if !strings.Contains(got.Err, fact.call) || !strings.Contains(got.Err, test.says) {
					t.Errorf("the public function says %q, want %s and %q", got.Err, fact.call, test.says)
				}
			})
		}
	}
}

// Before Linux 6.16 the errno for a process that has been reaped is EINVAL.
func TestInjectedGone(t *testing.T) {
	listener := listen(t, "unix")
	for _, inject := range []string{"error=EINVAL", "error=ESRCH"} {
		got := injected(t, role{Do: "ask process", Network: "unix", Address: listener.Addr().String()}, inject)
		if got.Err != "the peer's process is gone" {
			t.Errorf("%s: %q, want that the process is gone", inject, got.Err)
		}
		for name, a := range got.Implementations {
			if a != refused(unix.ESRCH) {
				t.Errorf("%s: %s says %+v, want ESRCH", inject, name, a)
			}
		}
	}
}

// words returns the bytes that strace must write.
func words(words ...uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return hex.EncodeToString(b)
}

// The call is made, and then its length or its value is changed. A value that a kernel can
// return is accepted. Any other is an error.
func TestInjectedValues(t *testing.T) {
	const (
		length    = "getsockopt:poke_exit=@arg5="
		wanted    = "getsockopt:error=ERANGE:poke_exit=@arg5="
		cred      = "getsockopt:poke_exit=@arg4="
		label     = "getsockopt:retval=0:poke_exit=@arg4="
		info      = "ioctl:poke_exit=@arg3="
		malformed = "protocol error"
		noPeer    = "transport endpoint is not connected"
	)
	listener := listen(t, "unix")
	us := fmt.Sprintf(`{"pid":%d,"uid":%d,"gid":%d}`, os.Getpid(), os.Geteuid(), os.Getegid())
	const none = ^uint32(0)
	// told is a struct pidfd_info that tells what mask says, up to its tgid.
	told := func(mask uint64, tgid uint32) string {
		return hex.EncodeToString(binary.NativeEndian.AppendUint64(nil, mask)) + words(0, 0, 7, tgid)
	}
	ours := ownGroups(t)
	var kernels any
	noLabel := "no Linux security module labels this socket"
	if label := os.Getenv(labelVariable); label != "" {
		kernels, noLabel = strconv.Quote(label), ""
	}
	for _, test := range []struct {
		function, inject, name string
		value                  any // nil for an error
		err                    string
	}{
		{"GetPeerCredentials", length + words(12), "the length as it is", us, ""},
		{"GetPeerCredentials", length + words(0), "length 0", nil, malformed},
		{"GetPeerCredentials", length + words(4), "cut short", nil, malformed},
		{"GetPeerCredentials", length + words(11), "a byte less", nil, malformed},
		{"GetPeerCredentials", length + words(16), "beyond the buffer", nil, malformed},
		{"GetPeerCredentials", length + words(none), "far beyond the buffer", nil, malformed},
		{"GetPeerCredentials", cred + words(none, 0, 0), "pid -1", nil, malformed},
		{"GetPeerCredentials", cred + words(1<<31, 0, 0), "the lowest pid", nil, malformed},
		{"GetPeerCredentials", cred + words(1, none, 0), "uid -1", nil, noPeer},
		{"GetPeerCredentials", cred + words(1, 0, none), "gid -1", nil, noPeer},
		{"GetPeerCredentials", cred + words(0, none, none), "no peer", nil, noPeer},
		{"GetPeerCredentials", cred + words(0, 65534, 65534), "ids that a kernel can say", `{"pid":0,"uid":65534,"gid":65534}`, ""},

		// Of a file the family is asked first, then the credentials, type and state.
		{"GetPeerCredentialsOf a file", cred + words(2) + ":when=1", "family TCP", nil, "got TCP"},
		{"GetPeerCredentialsOf a file", cred + words(none) + ":when=1", "family -1", nil, malformed},
		{"GetPeerCredentialsOf a file", length + words(2) + ":when=1", "family of two bytes", nil, malformed},
		{"GetPeerCredentialsOf a file", cred + words(2) + ":when=3", "type datagram", nil, noPeer},
		{"GetPeerCredentialsOf a file", cred + words(0) + ":when=3", "type 0", nil, malformed},
		{"GetPeerCredentialsOf a file", length + words(0) + ":when=3", "type of no bytes", nil, malformed},
		{"GetPeerCredentialsOf a file", cred + words(1) + ":when=4", "it listens", nil, noPeer},
		{"GetPeerCredentialsOf a file", cred + words(none) + ":when=4", "it listens to -1", nil, malformed},
		{"GetPeerCredentialsOf a file", length + words(8) + ":when=4", "it listens, beyond the buffer", nil, malformed},

		{"GetPeerGroups", length + words(2), "half a group", nil, malformed},
		{"GetPeerGroups", length + words(260), "groups beyond the buffer", nil, malformed},
		{"GetPeerGroups", length + words(none-3), "groups far beyond the buffer", nil, malformed},
		{"GetPeerGroups", wanted + words(4*(1<<20+1)) + ":when=1", "more groups than there can be", nil, malformed},
		{"GetPeerGroups", wanted + words(4<<20) + ":when=1", "room for the most groups, and then the answer", ours, ""},
		{"GetPeerGroups", wanted + words(4*64), "there is room, it says", nil, malformed},
		{"GetPeerGroups", length + words(4) + ",@arg4=" + words(none), "group -1", nil, malformed},
		{"GetPeerGroups", length + words(8) + ",@arg4=" + words(7, 8), "groups that a kernel can say", "[7,8]", ""},

		{"GetPeerSecurityLabel", label + hex.EncodeToString([]byte("system_u\x00")) + ",@arg5=" + words(9), "a label", `"system_u"`, ""},
		{"GetPeerSecurityLabel", label + hex.EncodeToString([]byte("system_u")) + ",@arg5=" + words(8), "a label without its NUL", `"system_u"`, ""},
		{"GetPeerSecurityLabel", label + hex.EncodeToString([]byte("system_u\x00")) + ",@arg5=" + words(0), "a label of no bytes", nil, "the label is empty"},
		{"GetPeerSecurityLabel", label + hex.EncodeToString([]byte("a\x00b\x00")) + ",@arg5=" + words(4), "a label with a NUL within", nil, malformed},
		{"GetPeerSecurityLabel", wanted + words(257) + ":when=1", "room for a longer label, and then the kernel's answer", kernels, noLabel},
		{"GetPeerSecurityLabel", wanted + words(1<<20) + ":when=1", "room for the longest label, and then the kernel's answer", kernels, noLabel},
		{"GetPeerSecurityLabel", wanted + words(1<<20+1) + ":when=1", "a label longer than there can be", nil, malformed},
		{"GetPeerSecurityLabel", wanted + words(300), "there is no room, it says again where there is", nil, malformed},
		{"GetPeerSecurityLabel", wanted + words(256), "there is room for the label, it says", nil, malformed},

		{"OpenPeerProcess", length + words(0), "a handle of no bytes", nil, malformed},
		{"OpenPeerProcess", length + words(8), "a handle beyond the buffer", nil, malformed},
		{"OpenPeerProcess", cred + words(none), "handle -1", nil, malformed},
		{"OpenPeerProcess", cred + words(1000), "a handle that is none", nil, "bad file descriptor"},

		{"PID", info + told(0, 1), "no pid told", nil, malformed},
		{"PID", info + told(unix.PIDFD_INFO_PID, 0), "pid 0", nil, malformed},
		{"PID", info + told(unix.PIDFD_INFO_PID, 1<<31), "the lowest pid", nil, malformed},
		{"PID", info + told(unix.PIDFD_INFO_PID, none), "pid -1", nil, malformed},
		{"PID", info + told(unix.PIDFD_INFO_PID, 1<<31-1), "a pid that a kernel can say", "2147483647", ""},
		{"PID, without descriptors", "ioctl:error=ENOTTY", "and /proc cannot be read", nil, "too many open files"},
		{"Alive", "poll:error=EINTR:when=1", "a signal meanwhile", "true", ""},
	} {
		t.Run(test.function+"/"+test.name, func(t *testing.T) {
			if strings.Contains(test.name, "beyond the buffer") {
				needLengthsUnread(t)
			}
			if needsPidfd(test.function) {
				needPidfd(t)
			}
			if test.function == "PID" {
				needPidfdInfo(t)
			}
			r := role{Do: "ask one", Function: test.function, Address: listener.Addr().String()}
			var got forgedAnswer
			runForged(t, r, test.inject, &got)
			if got.Value != test.value || !strings.Contains(got.Err, test.err) || (got.Err == "") != (test.value != nil) {
				t.Errorf("%v, %q, want %v, %q", got.Value, got.Err, test.value, test.err)
			}
		})
	}
}

// Linux before 6.13 does not have PIDFD_GET_INFO, and /proc is used instead. The tests of a
// process run again, in a process in which every ioctl(2) fails as it does there.
func TestProcessWithoutPidfdInfo(t *testing.T) {
	seccomp.Need(t)
	needUserNamespaces(t)
	needPidfd(t)
	needPidfdInfo(t)
	for _, errno := range []syscall.Errno{unix.ENOTTY, unix.EINVAL} { // before 6.11, and before 6.13
		const tests = "^(TestProcess|TestTrap07PIDReuse|TestCurrentIDsInOrder|TestProcess.*(Executes|Namespace.*))$"
		cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run="+tests)
		cmd.Env = append(os.Environ(), pidfdInfoVariable+"=no", ioctlVariable+"="+strconv.Itoa(int(errno)))
		out, err := cmd.CombinedOutput()
		if passed := bytes.Count(out, []byte("\n--- PASS: ")); err != nil || bytes.Contains(out, []byte("--- SKIP: ")) || passed != 7 {
			t.Errorf("%v: %v, and %d passed:\n%s", errno, err, passed, out)
		}
	}
}

// ioctlVariable holds the errno that every ioctl(2) of the tests fails with, if any.
const ioctlVariable = "PEERCRED_TEST_IOCTL_ERRNO"

func forgeIoctl() error {
	errno, err := strconv.Atoi(os.Getenv(ioctlVariable))
	if err != nil {
		return err
	}
	return seccomp.Forge(syscall.Errno(errno), seccomp.Any(unix.SYS_IOCTL))
}

// If the kernel reports success without making a socketpair, its descriptors are neither
// asked about nor closed.
func TestInjectedSocketpair(t *testing.T) {
	const (
		none = ^uint32(0)
		made = "socketpair:retval=0:poke_exit=@arg4="
	)
	for _, inject := range []string{
		"socketpair:retval=0", made + words(none, none), made + words(none, 7), made + words(7, none), made + words(7, 7),
	} {
		t.Run(inject, func(t *testing.T) {
			var got peercred.Info
			runForged(t, role{Do: "support"}, inject, &got)
			if got.UID.Available || !strings.Contains(got.UID.Reason, "socketpair: protocol error") {
				t.Errorf("the uid: %+v, want that the kernel could not be asked", got.UID)
			}
		})
	}
}

// Descriptor 0 is a valid descriptor.
func TestSupportWithoutStdin(t *testing.T) {
	var got peercred.Info
	helper := start(t, role{Do: "support and no stdin"})
	helper.Decode(&got)
	helper.Finish()
	if diff := cmp.Diff(peercred.Support(), got); diff != "" {
		t.Errorf("without a standard input (-with +without):\n%s", diff)
	}
}

// If the kernel has no PIDFD_GET_INFO, or reports success without writing, the ids come from
// /proc.
func TestInjectedCurrentCredentials(t *testing.T) {
	reexec.NeedRoot(t)
	needPidfd(t)
	uid, gid := uint32(4242), uint32(2424)
	want, err := json.Marshal(currentCredentials(uid, gid))
	if err != nil {
		t.Fatal(err)
	}
	for _, inject := range []string{"ioctl:error=ENOTTY", "ioctl:retval=0"} {
		t.Run(inject, func(t *testing.T) {
			address := abstract()
			server := start(t, role{Do: "serve", Network: "unix", Address: address, UID: &uid, GID: &gid})
			server.Expect("listening")
			var got forgedAnswer
			runForged(t, role{Do: "ask one", Function: "CurrentCredentials", Address: address}, inject, &got)
			if got.Value != string(want) || got.Err != "" {
				t.Errorf("%v, %q, want %s", got.Value, got.Err, want)
			}
		})
	}
}

// ownGroups are ours, in the kernel's order, as a helper reports them.
func ownGroups(t *testing.T) string {
	t.Helper()
	groups, err := unix.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(append([]int{}, groups...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func needPidfdInfo(t *testing.T) {
	t.Helper()
	server, _ := connect(t)
	p := openPeerProcess(t, server)
	raw, err := p.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var asked error
	if err := raw.Control(func(pidfd uintptr) { _, asked = implementations[0].processPID(int(pidfd)) }); err != nil {
		t.Fatal(err)
	}
	if errors.Is(asked, errors.ErrUnsupported) {
		t.Skip("needs PIDFD_GET_INFO, which Linux has since 6.13")
	}
}

// helperAskListeningFile asks about a listening socket, and makes no other call
// of getsockopt.
func helperAskListeningFile(role) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: abstract()}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return err
	}
	return reportFile(fd)
}

// helperAskConnectedFile does the same about a socket that is connected to this
// process.
func helperAskConnectedFile(role) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return reportFile(fds[0])
}

// helperAskPacketFile does the same about a socket that is connected to a listener of
// SOCK_SEQPACKET, as the last of Count questions.
func helperAskPacketFile(r role) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.Address}); err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "socket")
	for range r.Count - 1 {
		if peer, err := peercred.GetPeerCredentialsOf(file); err == nil {
			return fmt.Errorf("an answer before the last question: %v", peer)
		}
	}
	return reportOf(file)
}

// helperAskTCPFile does the same about a socket of another family.
func helperAskTCPFile(role) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return reportFile(fd)
}

func reportFile(fd int) error {
	return reportOf(os.NewFile(uintptr(fd), "socket"))
}

func reportOf(file *os.File) error {
	peer, err := peercred.GetPeerCredentialsOf(file)
	return reexec.Report(report{Peer: peer, Err: errString(err)})
}

// helperAskOnce reports the same of a server.
func helperAskOnce(r role) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return reportPeer(conn)
}

func helperAskGroups(r role) error {
	return reportFact(r, func(i implementation, fd int) error { _, err := i.groups(fd); return err },
		func(conn net.Conn) error { _, err := peercred.GetPeerGroups(conn); return err })
}

func helperAskLabel(r role) error {
	return reportFact(r, func(i implementation, fd int) error { _, err := i.securityLabel(fd); return err },
		func(conn net.Conn) error { _, err := peercred.GetPeerSecurityLabel(conn); return err })
}

func helperAskProcess(r role) error {
	return reportFact(r, func(i implementation, fd int) error { return openAndClose(i, fd) },
		func(conn net.Conn) error { _, err := peercred.OpenPeerProcess(conn); return err })
}

// openAndClose opens a pidfd, which must be -1 beside an error.
func openAndClose(i implementation, fd int) error {
	pidfd, err := i.openProcess(fd)
	switch {
	case err == nil:
		return unix.Close(pidfd)
	case pidfd != -1:
		return fmt.Errorf("pidfd %d beside an error: %w", pidfd, err)
	}
	return err
}

// reportFact reports the errors of one question.
func reportFact(r role, ask func(implementation, int) error, askPublic func(net.Conn) error) error {
	conn, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	got := report{Implementations: map[string]answer{}}
	err = raw.Control(func(fd uintptr) {
		for _, i := range implementations {
			got.Implementations[i.name] = answer{Err: errString(ask(i, int(fd)))}
		}
	})
	got.Err = errString(askPublic(conn))
	return errors.Join(err, reexec.Report(got))
}

// helperSupportAndNoDescriptor reports Support when no descriptor can be opened.
func helperSupport(role) error { return reexec.Report(peercred.Support()) }

func helperSupportAndNoStdin(role) error {
	if err := unix.Close(0); err != nil {
		return err
	}
	return reexec.Report(peercred.Support())
}
