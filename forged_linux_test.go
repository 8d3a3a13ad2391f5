//go:build !android

package peercred_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// In these tests a seccomp filter acts as a sandbox. It forbids the calls one by one, or
// reports success without making them. Every public function must return an error that names
// the call and wraps its errno, and never a value.

// victim is what the public functions are asked about.
type victim struct {
	conn    *net.UnixConn // to a listener of another process
	file    *os.File      // a duplicate of it
	own     *os.File      // connected to ourselves
	process *peercred.PeerProcess
}

// wrapper has only the method that gives access to a conn's descriptor.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

// embedded has its descriptor by the promoted SyscallConn, so that the kernel is asked
// what it is.
type embedded struct{ *net.UnixConn }

// publicFunctions ask, and return a value that a caller could use as the answer, or nil.
var publicFunctions = map[string]func(victim) (any, error){
	"GetPeerCredentials": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerCredentials(v.conn))
	},
	"GetPeerCredentials of a wrapper": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerCredentials(wrapper{v.conn}))
	},
	"GetPeerCredentialsOf": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerCredentialsOf(v.conn))
	},
	"GetPeerCredentialsOf a file": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerCredentialsOf(v.file))
	},
	"GetPeerCredentialsOf ourselves": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerCredentialsOf(v.own))
	},
	"GetPeerGroups": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerGroups(v.conn))
	},
	"GetPeerGroups of a foreign type": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerGroups(embedded{v.conn}))
	},
	"GetPeerSecurityLabel": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerSecurityLabel(v.conn))
	},
	"GetPeerSecurityLabel of a foreign type": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerSecurityLabel(embedded{v.conn}))
	},
	"GetPeerAuditToken": func(v victim) (any, error) {
		return answerOf(peercred.GetPeerAuditToken(v.conn))
	},
	"OpenPeerProcess": func(v victim) (any, error) {
		p, err := peercred.OpenPeerProcess(v.conn)
		p.Close()
		return answerOf(p != nil, err)
	},
	"OpenPeerProcess of a foreign type": func(v victim) (any, error) {
		p, err := peercred.OpenPeerProcess(embedded{v.conn})
		p.Close()
		return answerOf(p != nil, err)
	},
	"Support: uid": func(victim) (any, error) { return answerOf(factOf(peercred.Support().UID)) },
	"Support: gid": func(victim) (any, error) { return answerOf(factOf(peercred.Support().GID)) },
	"Support: pid": func(victim) (any, error) { return answerOf(factOf(peercred.Support().PID)) },
	"Support: groups": func(victim) (any, error) {
		return answerOf(factOf(peercred.Support().Groups))
	},
	"Support: process": func(victim) (any, error) {
		return answerOf(factOf(peercred.Support().Process))
	},
	"Support: security label": func(victim) (any, error) {
		return answerOf(factOf(peercred.Support().SecurityLabel))
	},
	"Alive": func(v victim) (any, error) { return answerOf(v.process.Alive()) },
	"PID":   func(v victim) (any, error) { return answerOf(v.process.PID()) },
	"PID, without descriptors": func(v victim) (any, error) {
		if err := forbidDescriptors(); err != nil {
			return nil, err
		}
		return answerOf(v.process.PID())
	},
	"Signal":             func(v victim) (any, error) { return nil, v.process.Signal(nil) },
	"CurrentCredentials": func(v victim) (any, error) { return answerOf(v.process.CurrentCredentials()) },
	"ExecutablePath":     func(v victim) (any, error) { return answerOf(v.process.ExecutablePath()) },
	"Executable": func(v victim) (any, error) {
		file, path, err := v.process.Executable()
		if file != nil {
			file.Close()
			path += ", and a file"
		}
		return answerOf(path, err)
	},
	"Cmdline": func(v victim) (any, error) { return answerOf(v.process.Cmdline()) },
	"Cgroup":  func(v victim) (any, error) { return answerOf(v.process.Cgroup()) },
	"StartTime": func(v victim) (any, error) {
		started, err := v.process.StartTime()
		return answerOf(!started.IsZero(), err) // two calls may differ
	},
	"Inspect": func(v victim) (any, error) {
		return nil, v.process.Inspect(func(string) error { return nil })
	},
	"Wait": func(v victim) (any, error) { return nil, v.process.Wait(context.Background()) },
}

func factOf(f peercred.Fact) (bool, error) {
	if f.Available {
		return true, nil
	}
	return false, errors.New(f.Reason)
}

// answerOf returns the answer as text, or nil if there is none.
func answerOf[T any](answer T, err error) (any, error) {
	text, failed := json.Marshal(answer)
	if failed != nil {
		return nil, failed
	}
	if nothing := []string{"null", `""`, "0", "false", "[0,0,0,0,0,0,0,0]"}; slices.Contains(nothing, string(text)) {
		return nil, err
	}
	return string(text), err
}

// ofProcess reports whether a function requires a handle.
func ofProcess(function string) bool {
	return slices.Contains([]string{
		"Alive", "PID", "PID, without descriptors", "Signal", "CurrentCredentials", "ExecutablePath", "Executable", "Cmdline", "Cgroup",
		"StartTime", "Inspect", "Wait",
	}, function)
}

func needsPidfd(function string) bool {
	return ofProcess(function) || strings.HasPrefix(function, "OpenPeerProcess") || function == "Support: process"
}

// forgedAnswer is the result of a function when the kernel answered with errno.
type forgedAnswer struct {
	Forged      syscall.Errno
	Value       any
	Err         string
	Wraps       bool // errors.Is(err, Forged)
	Protocol    bool // errors.Is(err, EPROTO)
	Unavailable bool
	Left        int // descriptors that are open and were not before
}

func forgedAnswerOf(errno syscall.Errno, value any, err error) forgedAnswer {
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	return forgedAnswer{
		Forged: errno, Value: value, Err: errString(err), Wraps: errno != 0 && errors.Is(err, errno),
		Protocol: errors.Is(err, unix.EPROTO), Unavailable: errors.As(err, &unavailable),
	}
}

// helperForge asks one function about a victim: once without forging, if the function then
// returns, and once for each errno that the calls are forged with.
func helperForge(r role) error {
	v, err := newVictim(r.Address, ofProcess(r.Function))
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1) // the garbage collector would close what is left open
	ask := func(errno syscall.Errno) forgedAnswer {
		before := descriptorsOpen()
		value, err := publicFunctions[r.Function](v)
		answer := forgedAnswerOf(errno, value, err)
		answer.Left = len(opened(before))
		return answer
	}
	var answers []forgedAnswer
	if r.Function != "Wait" && r.Function != "GetPeerCredentialsOf ourselves" { // which remembers that the kernel is right
		answers = append(answers, ask(0))
	} else {
		answers = append(answers, forgedAnswer{})
	}
	for _, errno := range r.Errnos {
		if err := seccomp.Forge(errno, r.Calls...); err != nil {
			return err
		}
		answers = append(answers, ask(errno))
	}
	return reexec.Report(answers)
}

// helperAskOne asks one function about a victim, on one thread.
func helperAskOne(r role) error {
	v, err := newVictim(r.Address, ofProcess(r.Function))
	if err != nil {
		return err
	}
	value, err := publicFunctions[r.Function](v)
	return reexec.Report(forgedAnswerOf(0, value, err))
}

func newVictim(address string, process bool) (v victim, err error) {
	conn, err := net.Dial("unix", address)
	if err != nil {
		return v, err
	}
	v.conn = conn.(*net.UnixConn)
	if v.file, err = v.conn.File(); err != nil {
		return v, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return v, err
	}
	v.own = os.NewFile(uintptr(pair[0]), "socketpair")
	if process {
		v.process, err = peercred.OpenPeerProcess(v.conn)
	}
	return v, err
}

// refusals are the errnos that every call is forged with. None of them has a special meaning
// for any of our calls.
var refusals = []syscall.Errno{unix.EPERM, unix.EACCES, unix.ENOBUFS, unix.EBADF, unix.EIO}

// The results that a forged answer may have, other than an error that names the call and
// wraps the errno, or EPROTO for success without a write.
const (
	silently  = 1 << iota // the errno is only in the error's text, or nowhere
	explains              // success without a write is an error with a text of its own
	believes              // success cannot be distinguished from a real answer
	otherwise             // another call gives the right answer instead
	retries               // EINTR is asked again, until it ends: here it would not
	endless               // success is not forged: what the Go library made of it would not end
	remembers             // it says the first failure ever after
)

func TestForgedAnswers(t *testing.T) {
	seccomp.Need(t)
	const (
		family      = "linux: find out the descriptor's family: "
		listens     = "linux: check that the socket can have a peer: "
		credentials = "failed to get peer credentials: "
		peerCred    = credentials + "linux: getsockopt(SO_PEERCRED): "
		groups      = "failed to get the peer's groups: "
		peerGroups  = groups + "linux: getsockopt(SO_PEERGROUPS): "
		label       = "failed to get the peer's security label: "
		peerSec     = label + "linux: getsockopt(SO_PEERSEC): "
		process     = "failed to open the peer's process: "
		peerPidfd   = process + "linux: getsockopt(SO_PEERPIDFD): "
		noPoller    = process + "the runtime's poller does not accept the pidfd: "
		poll        = "peer process: linux: poll(pidfd): "
		fdinfo      = "peer process: linux: read /proc/self/fdinfo/: "
		probed      = "it is not known whether the kernel gives that answer for every peer: socket, getsockopt(SO_PEERCRED): "
		clock       = "clock_gettime"
		supported   = "the kernel could not be asked: socketpair: "
	)
	option := func(o int) []seccomp.Call { return []seccomp.Call{seccomp.Option(o)} }
	call := func(numbers ...uintptr) (calls []seccomp.Call) {
		for _, n := range numbers {
			calls = append(calls, seccomp.Any(n))
		}
		return calls
	}
	listener := listen(t, "unix")
	for _, test := range []struct {
		function, name string // what is asked, and the call that is forged
		calls          []seccomp.Call
		says           string // how the error begins
		but            int
	}{
		{"GetPeerCredentials", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"GetPeerCredentials of a wrapper", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"GetPeerCredentialsOf", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"GetPeerCredentialsOf a file", "SO_DOMAIN", option(unix.SO_DOMAIN), credentials + family, 0},
		{"GetPeerCredentialsOf a file", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"GetPeerCredentialsOf a file", "SO_TYPE", option(unix.SO_TYPE), credentials + listens, 0},
		{"GetPeerCredentialsOf a file", "SO_ACCEPTCONN", option(unix.SO_ACCEPTCONN), credentials + listens, 0},
		// Success is descriptor 0, a pipe here, which has no credentials.
		{"GetPeerCredentialsOf ourselves", "socket", call(unix.SYS_SOCKET), "peer credentials unavailable on linux: the answer names this process itself, and " + probed, silently},

		{"GetPeerGroups", "SO_PEERGROUPS", option(unix.SO_PEERGROUPS), peerGroups, 0},
		{"GetPeerGroups of a foreign type", "SO_DOMAIN", option(unix.SO_DOMAIN), groups + family, 0},
		{"GetPeerGroups of a foreign type", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"GetPeerGroups of a foreign type", "SO_PEERGROUPS", option(unix.SO_PEERGROUPS), peerGroups, 0},
		{"GetPeerGroups of a foreign type", "SO_TYPE", option(unix.SO_TYPE), groups + listens, 0},
		{"GetPeerGroups of a foreign type", "SO_ACCEPTCONN", option(unix.SO_ACCEPTCONN), groups + listens, 0},

		{"GetPeerSecurityLabel", "SO_PEERSEC", option(unix.SO_PEERSEC), peerSec, explains},
		{"GetPeerSecurityLabel of a foreign type", "SO_DOMAIN", option(unix.SO_DOMAIN), label + family, 0},
		{"GetPeerSecurityLabel of a foreign type", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"GetPeerSecurityLabel of a foreign type", "SO_PEERSEC", option(unix.SO_PEERSEC), peerSec, explains},
		// It asks the kernel nothing here.
		{"GetPeerAuditToken", "getsockopt", call(unix.SYS_GETSOCKOPT), "failed to get the peer's audit token: unavailable on linux: ", silently},

		{"OpenPeerProcess", "SO_PEERPIDFD", option(unix.SO_PEERPIDFD), peerPidfd, 0},
		// It names the call that the descriptor came from. Success leaves it blocking.
		{"OpenPeerProcess", "fcntl", call(unix.SYS_FCNTL), peerPidfd, explains},
		{"OpenPeerProcess", "epoll_ctl", call(unix.SYS_EPOLL_CTL), noPoller, silently | believes},
		// This call only checks whether the process was reaped already.
		{"OpenPeerProcess", "pidfd_send_signal", call(unix.SYS_PIDFD_SEND_SIGNAL), "", otherwise},
		{"OpenPeerProcess", "pidfd_send_signal, openat", call(unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_OPENAT), "", otherwise | retries | endless},
		{"OpenPeerProcess of a foreign type", "SO_DOMAIN", option(unix.SO_DOMAIN), process + family, 0},
		{"OpenPeerProcess of a foreign type", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, 0},
		{"OpenPeerProcess of a foreign type", "SO_PEERPIDFD", option(unix.SO_PEERPIDFD), peerPidfd, 0},
		{"OpenPeerProcess of a foreign type", "SO_TYPE", option(unix.SO_TYPE), process + listens, 0},
		{"OpenPeerProcess of a foreign type", "SO_ACCEPTCONN", option(unix.SO_ACCEPTCONN), process + listens, 0},

		{"Support: uid", "socketpair", call(unix.SYS_SOCKETPAIR), supported, silently},
		{"Support: groups", "socketpair", call(unix.SYS_SOCKETPAIR), supported, silently},
		{"Support: process", "socketpair", call(unix.SYS_SOCKETPAIR), supported, silently},
		{"Support: security label", "socketpair", call(unix.SYS_SOCKETPAIR), supported, silently},
		{"Support: uid", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, silently},
		{"Support: gid", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, silently},
		{"Support: pid", "SO_PEERCRED", option(unix.SO_PEERCRED), peerCred, silently},
		{"Support: groups", "SO_PEERGROUPS", option(unix.SO_PEERGROUPS), peerGroups, silently},
		{"Support: process", "SO_PEERPIDFD", option(unix.SO_PEERPIDFD), peerPidfd, silently},

		{"Alive", "poll", pollCalls, poll, retries | believes},
		{"Wait", "poll", pollCalls, poll, retries | endless | remembers}, // it waits on
		{"PID", "ioctl", call(unix.SYS_IOCTL), "peer process: linux: ioctl(PIDFD_GET_INFO): ", 0},
		{"Signal", "pidfd_send_signal", call(unix.SYS_PIDFD_SEND_SIGNAL), "peer process: linux: pidfd_send_signal: ", believes},
		{"CurrentCredentials", "ioctl", call(unix.SYS_IOCTL), "", otherwise},
		{"CurrentCredentials", "ioctl, openat", call(unix.SYS_IOCTL, unix.SYS_OPENAT), fdinfo, retries | endless},

		{"Inspect", "openat", call(unix.SYS_OPENAT), fdinfo, retries | endless},
		{"Inspect", "read", call(unix.SYS_READ), fdinfo, retries | explains},
		{"Inspect", "poll", pollCalls, poll, retries | believes},
		{"Executable", "openat", call(unix.SYS_OPENAT), fdinfo, retries | endless},
		{"Executable", "readlinkat", call(unix.SYS_READLINKAT), "readlink /proc/self/fd/", retries | explains},
		{"Executable", "poll", pollCalls, poll, retries | believes},
		{"ExecutablePath", "readlinkat", call(unix.SYS_READLINKAT), "readlink /proc/", retries | explains},
		{"ExecutablePath", "poll", pollCalls, poll, retries | believes},
		{"Cmdline", "openat", call(unix.SYS_OPENAT), fdinfo, retries | endless},
		{"Cmdline", "read", call(unix.SYS_READ), fdinfo, retries | explains},
		{"Cmdline", "poll", pollCalls, poll, retries | believes},
		{"Cgroup", "openat", call(unix.SYS_OPENAT), fdinfo, retries | endless},
		{"Cgroup", "read", call(unix.SYS_READ), fdinfo, retries | explains},
		{"StartTime", "openat", call(unix.SYS_OPENAT), fdinfo, retries | endless},
		{"StartTime", "read", call(unix.SYS_READ), fdinfo, retries | explains},
		{"StartTime", clock, []seccomp.Call{{Number: unix.SYS_CLOCK_GETTIME, Argument: 0, Value: unix.CLOCK_BOOTTIME}}, "peer process: linux: clock_gettime(CLOCK_BOOTTIME): ", 0},
	} {
		if test.name == clock && peercred.Implementation == "cpeercred" {
			continue // the C library reads the clock without a system call
		}
		t.Run(test.function+"/"+test.name, func(t *testing.T) {
			if needsPidfd(test.function) {
				needPidfd(t)
			}
			r := role{Do: "forge", Address: listener.Addr().String(), Function: test.function, Calls: test.calls, Errnos: slices.Clone(refusals)}
			if test.but&remembers != 0 {
				r.Errnos = r.Errnos[:1]
			}
			if test.but&retries == 0 {
				r.Errnos = append(r.Errnos, unix.EINTR)
			}
			if test.but&endless == 0 {
				r.Errnos = append(r.Errnos, 0)
			}
			var answers []forgedAnswer
			start(t, r).Decode(&answers)
			if len(answers) != 1+len(r.Errnos) {
				t.Fatalf("%d answers, want %d", len(answers), 1+len(r.Errnos))
			}
			honest := answers[0]
			for _, got := range answers {
				if got.Left != 0 {
					t.Errorf("%v: %d descriptors more are open than before", got.Forged, got.Left)
				}
			}
			for _, got := range answers[1:] {
				success := got.Forged == 0
				switch {
				case test.but&otherwise != 0, success && test.but&believes != 0:
					if got.Value != honest.Value || got.Err != "" {
						t.Errorf("%v: %v, %q, want %v as before", got.Forged, got.Value, got.Err, honest.Value)
					}
				case got.Value != nil || got.Err == "":
					t.Errorf("%v: %v, %q, want an error and no value", got.Forged, got.Value, got.Err)
				case success:
					if !got.Protocol && test.but&(silently|explains) == 0 {
						t.Errorf("success without a write: %q, want a protocol error", got.Err)
					}
				case !strings.HasPrefix(got.Err, test.says):
					t.Errorf("%v: %q, want %q", got.Forged, got.Err, test.says)
				case !got.Wraps && test.but&silently == 0:
					t.Errorf("%v: %q does not wrap it", got.Forged, got.Err)
				}
			}
		})
	}
}
