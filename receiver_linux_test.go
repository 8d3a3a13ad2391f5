//go:build !android

package peercred_test

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/seccomp"
)

// datagramSocket is a bound datagram socket with a receiver.
func datagramSocket(t testing.TB, config peercred.ReceiverConfig) (*net.UnixConn, *peercred.Receiver) {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r, err := peercred.NewReceiver(conn, config)
	if err != nil {
		t.Fatal(err)
	}
	return conn, r
}

func dialDatagram(t testing.TB, to *net.UnixConn) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, to.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func thisSender() peercred.Sender {
	return peercred.Sender{PID: int32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

func TestReceive(t *testing.T) {
	needPidfd(t)
	conn, r := datagramSocket(t, peercred.ReceiverConfig{Process: true})
	client := dialDatagram(t, conn)
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	var p [10]byte
	m, err := r.Receive(p[:])
	if err != nil {
		t.Fatal(err)
	}
	if m.Process == nil {
		t.Fatalf("no process: %v", m.ProcessErr)
	}
	pid, err := m.Process.PID()
	if pid != int32(os.Getpid()) || err != nil {
		t.Errorf("the process is %d, %v", pid, err)
	}
	m.Process.Close()
	m.Process = nil
	if diff := cmp.Diff(peercred.Message{N: 5, Sender: thisSender()}, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReceiveStream(t *testing.T) {
	server, client := connect(t)
	r, err := peercred.NewReceiver(server, peercred.ReceiverConfig{})
	if err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("x"))
	client.Close()
	var p [10]byte
	m, err := r.Receive(p[:])
	if diff := cmp.Diff(peercred.Message{N: 1, Sender: thisSender()}, m); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if m, err := r.Receive(p[:]); err != io.EOF {
		t.Errorf("at the end: %+v, %v, want EOF", m, err)
	}
}

func TestReceiveAllocations(t *testing.T) {
	conn, r := datagramSocket(t, peercred.ReceiverConfig{})
	client := dialDatagram(t, conn)
	p := make([]byte, 10)
	n := testing.AllocsPerRun(100, func() {
		client.Write(p)
		if _, err := r.Receive(p); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// mailboxes are datagram sockets, one for each implementation.
type mailboxes map[string]int

// openMailboxes binds the sockets to names that begin with address. If late is true, the
// kernel is not asked for senders yet.
func openMailboxes(address string, late bool) (mailboxes, error) {
	boxes := mailboxes{}
	for _, i := range implementations {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		boxes[i.name] = fd
		if !late {
			if err := i.reportSenders(fd, false, false); err != nil {
				return nil, err
			}
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: address + i.name}); err != nil {
			return nil, err
		}
	}
	return boxes, nil
}

// letter is what an implementation received, for cmp.Diff and JSON.
type letter struct {
	Sender peercred.Sender
	Text   string
	Err    string
}

func (m mailboxes) receive() map[string]letter {
	letters := map[string]letter{}
	for _, i := range implementations {
		letters[i.name] = i.receiveLetter(m[i.name])
	}
	return letters
}

func (i implementation) receiveLetter(fd int) letter {
	payload, room := make([]byte, 100), make([]byte, 1000)
	r, err := i.receive(fd, payload, room, false)
	if r.End && err == nil {
		return letter{Err: "the end"}
	}
	return letter{peercred.Sender{PID: r.PID, UID: r.UID, GID: r.GID}, string(payload[:r.N]), errString(err)}
}

// everyone returns what mailboxes.receive returns if all implementations say the same.
func everyone(l letter) map[string]letter {
	letters := map[string]letter{}
	for _, i := range implementations {
		letters[i.name] = l
	}
	return letters
}

// sent is what helperSend reports.
type sent struct{ Errors map[string]string }

// helperSend sends "x" to the mailbox of each implementation, as Claimed if it is given. Then
// is the real uid, and the saved one is one more.
func helperSend(r role) error {
	if r.Then != nil {
		runtime.LockOSThread()
		if err := syscall.Setresuid(int(*r.Then), -1, int(*r.Then)+1); err != nil {
			return err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	var control []byte
	if r.Claimed != nil {
		claimed := *r.Claimed
		if claimed.Pid == 0 {
			claimed.Pid = int32(os.Getpid())
		}
		control = unix.UnixCredentials(&claimed)
	}
	result := sent{map[string]string{}}
	for _, i := range implementations {
		result.Errors[i.name] = errString(unix.Sendmsg(fd, []byte("x"), control, &unix.SockaddrUnix{Name: r.Address + i.name}, 0))
	}
	return reexec.Report(result)
}

// helperReceive opens mailboxes, and reports what came once it may proceed.
func helperReceive(r role) error {
	boxes, err := openMailboxes(r.Address, false)
	if err != nil {
		return err
	}
	reexec.Step("open")
	if len(r.Calls) > 0 {
		if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
			return err
		}
	}
	return reexec.Report(boxes.receive())
}

const nobodysUID = 4242

// Who sent a message, for each kind of sender, and what senders may claim.
func TestSenders(t *testing.T) {
	reexec.NeedRoot(t)
	uid, realUID := uint32(nobodysUID), uint32(nobodysUID+1)
	user := func(change func(*role)) role {
		r := role{UID: &uid, GID: &uid}
		change(&r)
		return r
	}
	same := func(*role) {}
	claims := func(pid int32, uid, gid uint32) func(*role) {
		return func(r *role) { r.Claimed = &unix.Ucred{Pid: pid, Uid: uid, Gid: gid} }
	}
	const own = -1 // the pid of the sender
	for _, test := range []struct {
		name    string
		sender  role
		options []reexec.Option
		want    peercred.Sender
		err     unix.Errno // of sendmsg
	}{
		{"root", role{}, nil, peercred.Sender{PID: own}, 0},
		{"a user", user(same), nil, peercred.Sender{PID: own, UID: uid, GID: uid}, 0},
		{"a user whose effective uid is root's", role{GID: &uid, Then: &realUID}, nil, peercred.Sender{PID: own, UID: realUID, GID: uid}, 0},
		{"a user in a pid namespace below", user(same), []reexec.Option{inNamespace(unix.CLONE_NEWPID, 0, 0)}, peercred.Sender{PID: own, UID: uid, GID: uid}, 0},
		{"root of a user namespace", role{}, []reexec.Option{inNamespace(unix.CLONE_NEWUSER, 0, nobodysUID)}, peercred.Sender{PID: own, UID: uid, GID: uid}, 0},
		{"a user in a user namespace", role{}, []reexec.Option{inNamespace(unix.CLONE_NEWUSER, 7, nobodysUID)}, peercred.Sender{PID: own, UID: uid, GID: uid}, 0},

		{"root as another user and process", user(func(r *role) { *r = role{}; claims(1, 4243, 4244)(r) }), nil, peercred.Sender{PID: 1, UID: 4243, GID: 4244}, 0},
		{"a user as itself", user(claims(0, uid, uid)), nil, peercred.Sender{PID: own, UID: uid, GID: uid}, 0},
		{"a user as root", user(claims(0, 0, uid)), nil, peercred.Sender{}, unix.EPERM},
		{"a user with root's group", user(claims(0, uid, 0)), nil, peercred.Sender{}, unix.EPERM},
		{"a user as another process", user(claims(1, uid, uid)), nil, peercred.Sender{}, unix.EPERM},
		{"a user as nobody", user(claims(0, 65534, uid)), nil, peercred.Sender{}, unix.EPERM},
		{"root of a user namespace as root", role{Claimed: &unix.Ucred{}}, []reexec.Option{inNamespace(unix.CLONE_NEWUSER, 0, nobodysUID)}, peercred.Sender{PID: own, UID: uid, GID: uid}, 0},
		{"root of a user namespace as a user without a map", role{Claimed: &unix.Ucred{Uid: 1}}, []reexec.Option{inNamespace(unix.CLONE_NEWUSER, 0, nobodysUID)}, peercred.Sender{}, unix.EINVAL},
	} {
		t.Run(test.name, func(t *testing.T) {
			if len(test.options) > 0 {
				needUserNamespaces(t)
			}
			address := abstract()
			boxes, err := openMailboxes(address, false)
			if err != nil {
				t.Fatal(err)
			}
			defer boxes.close()
			test.sender.Do, test.sender.Address = "send", address
			sender := start(t, test.sender, test.options...)
			var result sent
			sender.Decode(&result)
			sender.Finish() // it is reaped before the message is read
			wantErr, want := "", letter{Sender: test.want, Text: "x"}
			if test.err != 0 {
				wantErr, want = test.err.Error(), letter{Err: unix.EAGAIN.Error()}
			}
			if want.Sender.PID == own {
				want.Sender.PID = sender.PID()
			}
			for _, i := range implementations {
				if result.Errors[i.name] != wantErr {
					t.Errorf("sendmsg: %s, want %s", result.Errors[i.name], wantErr)
				}
			}
			if diff := cmp.Diff(everyone(want), boxes.receive()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func (m mailboxes) close() {
	for _, fd := range m {
		unix.Close(fd)
	}
}

// What a receiver in namespaces of its own is told about a sender outside of them.
func TestSendersOutside(t *testing.T) {
	needUserNamespaces(t)
	uid := uint32(nobodysUID)
	const overflow, mapped = 65534, 5000 // to 0, in the user namespace
	for _, test := range []struct {
		name     string
		flags    uintptr
		fails    uintptr // the call that fails with EMFILE
		uid, gid uint32  // of the sender
		want     letter
	}{
		{"both, and the uid is mapped", unix.CLONE_NEWPID | unix.CLONE_NEWUSER, 0, mapped, uid, letter{Sender: peercred.Sender{GID: overflow}, Text: "x"}},
		{"both, and the gid is mapped", unix.CLONE_NEWPID | unix.CLONE_NEWUSER, 0, uid, mapped, letter{Sender: peercred.Sender{UID: overflow}, Text: "x"}},
		{"a pid namespace", unix.CLONE_NEWPID, 0, uid, uid, letter{Sender: peercred.Sender{UID: uid, GID: uid}, Text: "x"}},
		{"a user namespace", unix.CLONE_NEWUSER, 0, uid, uid, letter{Sender: peercred.Sender{PID: -1, UID: overflow, GID: overflow}, Text: "x"}},
		{"both", unix.CLONE_NEWPID | unix.CLONE_NEWUSER, 0, uid, uid, letter{Err: unix.ENODATA.Error()}},
		{"a pid namespace, and no descriptor is left", unix.CLONE_NEWPID, unix.SYS_SOCKETPAIR, uid, uid, letter{Err: unix.EMFILE.Error()}},
		{"a pid namespace, and nothing can be sent", unix.CLONE_NEWPID, unix.SYS_SENDTO, uid, uid, letter{Err: unix.EMFILE.Error()}},
		{"a pid namespace, and no option can be set", unix.CLONE_NEWPID, unix.SYS_SETSOCKOPT, uid, uid, letter{Err: unix.EMFILE.Error()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := abstract()
			r := role{Do: "receive", Address: address}
			if test.fails != 0 {
				seccomp.Need(t)
				r.Calls, r.Errnos = []seccomp.Call{seccomp.Any(test.fails)}, []syscall.Errno{unix.EMFILE}
			}
			receiver := start(t, r, inNamespace(test.flags, 0, mapped))
			receiver.Expect("open")
			sender := start(t, role{Do: "send", Address: address, UID: &test.uid, GID: &test.gid})
			var result sent
			sender.Decode(&result)
			for name, err := range result.Errors {
				if err != "" {
					t.Errorf("sendmsg to %s: %s", name, err)
				}
			}
			receiver.Proceed()
			var got map[string]letter
			receiver.Decode(&got)
			if test.want.Sender.PID == -1 {
				test.want.Sender.PID = sender.PID()
			}
			if diff := cmp.Diff(everyone(test.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			sender.Finish()
		})
	}
}

// A message from before the kernel was asked has no sender, and the next one has.
func TestSendersOfEarlyMessages(t *testing.T) {
	address := abstract()
	boxes, err := openMailboxes(address, true)
	if err != nil {
		t.Fatal(err)
	}
	defer boxes.close()
	client := socket(t, unix.AF_UNIX, unix.SOCK_DGRAM)
	send := func(text string) {
		t.Helper()
		for _, i := range implementations {
			if err := unix.Sendto(client, []byte(text), 0, &unix.SockaddrUnix{Name: address + i.name}); err != nil {
				t.Fatal(err)
			}
		}
	}
	send("early")
	for _, i := range implementations {
		if err := i.reportSenders(boxes[i.name], false, false); err != nil {
			t.Fatal(err)
		}
	}
	send("late")
	for _, want := range []letter{{Err: unix.ENODATA.Error()}, {Sender: thisSender(), Text: "late"}, {Err: unix.EAGAIN.Error()}} {
		if diff := cmp.Diff(everyone(want), boxes.receive()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// At its end a connection has no sender. The kernel attaches one with the ids 0 to the end of
// a stream.
func TestReceiveAtTheEnd(t *testing.T) {
	end, empty := letter{Err: "the end"}, letter{Sender: thisSender()}
	for _, test := range []struct {
		name       string
		socketType int
		act        func(fd int) error
		want       []letter
	}{
		{"a stream that is closed", unix.SOCK_STREAM, unix.Close, []letter{end, end}},
		{"a stream that is shut down", unix.SOCK_STREAM, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }, []letter{end, end}},
		{"packets that are closed", unix.SOCK_SEQPACKET, unix.Close, []letter{end, end}},
		{"an empty packet, and the end", unix.SOCK_SEQPACKET, func(fd int) error {
			return errors.Join(unix.Send(fd, nil, 0), unix.Close(fd))
		}, []letter{empty, end}},
		{"an empty datagram", unix.SOCK_DGRAM, func(fd int) error { return unix.Send(fd, nil, 0) }, []letter{empty, {Err: unix.EAGAIN.Error()}}},
		{"nothing", unix.SOCK_STREAM, func(int) error { return nil }, []letter{{Err: unix.EAGAIN.Error()}}},
	} {
		for _, i := range implementations {
			t.Run(test.name+"/"+i.name, func(t *testing.T) {
				pair, err := unix.Socketpair(unix.AF_UNIX, test.socketType|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), pair[1]
				defer ours.Close()
				defer unix.Shutdown(theirs, unix.SHUT_RDWR)
				if err := i.reportSenders(pair[0], false, false); err != nil {
					t.Fatal(err)
				}
				if err := test.act(theirs); err != nil {
					t.Fatal(err)
				}
				var got []letter
				for range test.want {
					got = append(got, i.receiveLetter(pair[0]))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A message that does not fit is lost, with its descriptors. So are descriptors that nobody
// keeps. Other control messages are handed on as they are.
func TestReceiveControl(t *testing.T) {
	const rights = 3
	for _, test := range []struct {
		name          string
		payload, room int
		keep          bool
		want          string // the error
		kept          int    // descriptors
	}{
		{"kept", 10, 1000, true, "", rights},
		{"not kept", 10, 1000, false, "", 0},
		{"a payload that does not fit", 4, 1000, true, unix.EMSGSIZE.Error(), 0},
		{"descriptors that do not fit", 10, unix.CmsgSpace(12) + unix.CmsgSpace(4), true, unix.ENOBUFS.Error(), 0},
		{"a sender that does not fit", 10, unix.CmsgSpace(4), true, unix.ENOBUFS.Error(), 0},
		{"no room", 10, 0, false, unix.ENOBUFS.Error(), 0},
		{"no buffer", 0, 1000, true, unix.EINVAL.Error(), 0},
	} {
		for _, i := range implementations {
			t.Run(test.name+"/"+i.name, func(t *testing.T) {
				pair := socketpair(t, unix.SOCK_DGRAM)
				process := os.Getenv(pidfdVariable) != "no"
				if err := i.reportSenders(pair[0], process, false); err != nil {
					t.Fatal(err)
				}
				if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1); err != nil {
					t.Fatal(err)
				}
				before := descriptorsOpen()
				if err := unix.Sendmsg(pair[1], []byte("hello"), unix.UnixRights(1, 1, 1), nil, 0); err != nil {
					t.Fatal(err)
				}
				r, err := i.receive(pair[0], make([]byte, test.payload), make([]byte, test.room), test.keep)
				if errString(err) != test.want || err == nil && (r.N != 5 || r.PID != int32(os.Getpid())) || (r.Pidfd == -1) != (err != nil || !process) {
					t.Errorf("%+v, %v, want %q", r, err, test.want)
				}
				if r.Pidfd != -1 {
					unix.Close(r.Pidfd)
				}
				if kept := opened(before); len(kept) != test.kept {
					t.Errorf("descriptors %v are open, want %d", kept, test.kept)
				}
				if !test.keep || err != nil {
					if len(r.Control) > 0 {
						t.Errorf("control messages %x, want none", r.Control)
					}
					return
				}
				messages, err := syscall.ParseSocketControlMessage(r.Control)
				var kinds []int32
				for _, m := range messages {
					kinds = append(kinds, m.Header.Type)
					fds, _ := syscall.ParseUnixRights(&m)
					for _, fd := range fds {
						if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
							t.Errorf("descriptor %d: the flags are %#x, %v, want close-on-exec", fd, flags, err)
						}
						unix.Close(fd)
					}
				}
				if diff := cmp.Diff([]int32{unix.SO_TIMESTAMP, unix.SCM_RIGHTS}, kinds); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

// The name of the sender's socket, as package net writes it.
func TestReceiveFrom(t *testing.T) {
	t.Chdir(t.TempDir())
	longest := strings.Repeat("x", len(unix.RawSockaddrUnix{}.Path))
	for _, test := range []struct{ name, want string }{
		{"", ""},
		{"path", "path"},
		{"@abstract\x00name", "@abstract\x00name"},
		{longest[1:], longest[1:]},
		{longest, longest},
	} {
		for _, i := range implementations {
			pair := socketpair(t, unix.SOCK_DGRAM)
			if err := i.reportSenders(pair[0], false, false); err != nil {
				t.Fatal(err)
			}
			if test.name != "" {
				if err := bindRaw(pair[1], test.name); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := unix.Write(pair[1], []byte("x")); err != nil {
				t.Fatal(err)
			}
			r, err := i.receive(pair[0], make([]byte, 10), make([]byte, 100), false)
			if r.From != test.want || err != nil {
				t.Errorf("%s: from %q, %v, want %q", i.name, r.From, err, test.want)
			}
			unix.Close(pair[1])
			os.Remove(test.name)
		}
	}
}

// bindRaw also binds a path of 108 bytes, for which x/sys has no room.
func bindRaw(fd int, name string) error {
	address := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for n := range len(name) {
		address.Path[n] = int8(name[n])
	}
	size := 2 + len(name)
	if name[0] == '@' {
		address.Path[0] = 0
	} else if len(name) < len(address.Path) {
		size++
	}
	_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&address)), uintptr(size))
	if errno != 0 {
		return errno
	}
	return nil
}

// The handle is on the process that sent, while that is alive or a zombie. Since Linux 6.16 a
// process that was reaped has one too, and then it is closed.
func TestReceiveProcess(t *testing.T) {
	needPidfd(t)
	conn, r := datagramSocket(t, peercred.ReceiverConfig{Process: true})
	before := descriptorsOpen()
	address := conn.LocalAddr().String()
	sender := start(t, role{Do: "send once", Address: address})
	sender.Expect("sent")
	m, err := r.Receive(make([]byte, 10))
	if err != nil || m.Process == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	pid, err := m.Process.PID()
	if pid != sender.PID() || pid != m.Sender.PID || err != nil {
		t.Errorf("the process is %d, %v, want %d", pid, err, sender.PID())
	}
	sender.Finish()
	if alive, err := m.Process.Alive(); alive || err != nil {
		t.Errorf("alive: %v, %v", alive, err)
	}
	m.Process.Close()
	sender = start(t, role{Do: "send once", Address: address})
	sender.Finish() // it is reaped before the message is read
	m, err = r.Receive(make([]byte, 10))
	var gone *peercred.ErrPeerProcessGone
	if err != nil || m.Process != nil || !errors.As(m.ProcessErr, &gone) {
		t.Errorf("%+v, %v, want *ErrPeerProcessGone", m, err)
	}
	if left := opened(before); len(left) > 0 {
		t.Errorf("descriptors %v are open, and were not before", left)
	}
}

// helperReceiveWithoutDescriptors receives on descriptor 3 with a handle on the sender, while
// no descriptor is left.
func helperReceiveWithoutDescriptors(role) error {
	conn, err := net.FileConn(os.NewFile(3, "ours"))
	if err != nil {
		return err
	}
	receiver, err := peercred.NewReceiver(conn.(*net.UnixConn), peercred.ReceiverConfig{Process: true})
	if err != nil {
		return err
	}
	if err := forbidDescriptors(); err != nil {
		return err
	}
	m, err := receiver.Receive(make([]byte, 10))
	return reexec.Report([]string{m.Sender.String(), errString(err), errString(m.ProcessErr)})
}

// If no descriptor is left for the handle, the message has none, and says why.
func TestReceiveProcessWithoutDescriptors(t *testing.T) {
	needPidfd(t)
	pair := socketpair(t, unix.SOCK_DGRAM)
	if err := errors.Join(unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1), unix.Send(pair[1], []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(dup(t, pair[0])), "ours")
	defer file.Close()
	var got []string
	start(t, role{Do: "receive without descriptors"}, withFile(file)).Decode(&got)
	want := []string{thisSender().String(), "", "failed to open the peer's process: linux: SCM_PIDFD: too many open files"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A receiver that did not ask for a process closes the handle that another receiver asked for.
func TestReceiverOfAnothersProcess(t *testing.T) {
	needPidfd(t)
	conn, _ := datagramSocket(t, peercred.ReceiverConfig{Process: true})
	another, err := peercred.NewReceiver(conn, peercred.ReceiverConfig{})
	if err != nil {
		t.Fatal(err)
	}
	client := dialDatagram(t, conn)
	before := descriptorsOpen()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	m, err := another.Receive(make([]byte, 10))
	if diff := cmp.Diff(peercred.Message{N: 1, Sender: thisSender()}, m); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if left := opened(before); len(left) > 0 {
		t.Errorf("descriptors %v are open, and were not before", left)
	}
}

func helperSendOnce(r role) error {
	conn, err := net.Dial("unixgram", r.Address)
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	reexec.Step("sent")
	return nil
}

// The label is that of the sender's process under SELinux. AppArmor and kernels without a
// security module report none.
func TestReceiveLabel(t *testing.T) {
	text, _ := os.ReadFile("/proc/thread-self/attr/current")
	ours := strings.Trim(string(text), "\x00\n")
	_, err := os.Stat("/sys/fs/selinux/enforce")
	isSELinux := err == nil
	for _, i := range implementations {
		pair := socketpair(t, unix.SOCK_DGRAM)
		if err := i.reportSenders(pair[0], false, true); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(pair[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		r, err := i.receive(pair[0], make([]byte, 10), make([]byte, 5000), false)
		if err != nil || r.PID != int32(os.Getpid()) {
			t.Errorf("%s: %+v, %v", i.name, r, err)
		}
		if isSELinux && r.Label != ours || r.Label != "" && !strings.HasPrefix(ours, r.Label) {
			t.Errorf("%s: the label is %q, and ours %q", i.name, r.Label, ours)
		}
	}
}

// helperReportSenders asks for senders alone, with labels, and with processes, while Calls fail.
func helperReportSenders(r role) error {
	if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
		return err
	}
	errs := map[string][3]string{}
	for _, i := range implementations {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		errs[i.name] = [3]string{
			errString(i.reportSenders(fd, false, false)), errString(i.reportSenders(fd, false, true)), errString(i.reportSenders(fd, true, false)),
		}
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return err
	}
	var public [3]string
	for n, config := range []peercred.ReceiverConfig{{}, {SecurityLabel: true}, {Process: true}} {
		_, err := peercred.NewReceiver(conn, config)
		public[n] = errString(err)
	}
	errs["NewReceiver"] = public
	return reexec.Report(errs)
}

// Each option is turned on only if it is asked for, and its failure is an error.
func TestReportSendersForged(t *testing.T) {
	seccomp.Need(t)
	const eperm = "operation not permitted"
	for _, test := range []struct {
		name   string
		option uint32
		errno  syscall.Errno
		want   [3]string // alone, with labels, with processes
	}{
		{"SO_PASSCRED", unix.SO_PASSCRED, unix.EPERM, [3]string{eperm, eperm, eperm}},
		{"SO_PASSSEC", unix.SO_PASSSEC, unix.EPERM, [3]string{"", eperm, ""}},
		{"SO_PASSPIDFD", unix.SO_PASSPIDFD, unix.EPERM, [3]string{"", "", eperm}},
		{"a kernel before 6.5", unix.SO_PASSPIDFD, unix.ENOPROTOOPT, [3]string{"", "", "this kernel does not have SO_PASSPIDFD; Linux has it since 6.5"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := seccomp.Call{Number: unix.SYS_SETSOCKOPT, Argument: 2, Value: test.option}
			var got map[string][3]string
			start(t, role{Do: "report senders", Calls: []seccomp.Call{call}, Errnos: []syscall.Errno{test.errno}}).Decode(&got)
			want := map[string][3]string{}
			for _, i := range implementations {
				want[i.name] = test.want
			}
			public := got["NewReceiver"]
			for n, reason := range test.want {
				if (public[n] == "") != (reason == "") || !strings.HasSuffix(public[n], reason) {
					t.Errorf("NewReceiver: %q, want %q", public[n], reason)
				}
			}
			delete(got, "NewReceiver")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("alone, with labels, with processes (-want +got):\n%s", diff)
			}
		})
	}
}

// A number that is not a descriptor, and what is not a socket.
func TestReceiveFromOtherDescriptors(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	for name, test := range map[string]struct {
		fd   int
		want unix.Errno
	}{
		"-1": {-1, unix.EBADF}, "1<<32": {int(int64(1) << 32 & math.MaxInt), unix.EBADF}, "a pipe": {descriptor(t, read), unix.ENOTSOCK},
	} {
		if test.fd == 0 { // an int has 32 bits
			continue
		}
		for _, i := range implementations {
			if err := i.reportSenders(test.fd, false, false); err != error(test.want) {
				t.Errorf("%s: %s.ReportSenders: %v, want %v", name, i.name, err, test.want)
			}
			if r, err := i.receive(test.fd, make([]byte, 1), make([]byte, 100), false); r.Pidfd != -1 || err != error(test.want) {
				t.Errorf("%s: %s.Receive: %+v, %v, want %v", name, i.name, r, err, test.want)
			}
		}
	}
}

// helperReceiveFrom3 receives from descriptor 3 through the implementation, under the Answer,
// or while Calls fail.
func helperReceiveFrom3(r role) error {
	if len(r.Calls) > 0 {
		if err := seccomp.Forge(r.Errnos[0], r.Calls...); err != nil {
			return err
		}
	}
	for _, i := range implementations {
		if i.name == r.Implementation {
			return reexec.Report(i.receiveLetter(3))
		}
	}
	return nil
}

// A signal does not end a Receive.
func TestReceiveInterrupted(t *testing.T) {
	seccomp.NeedNotification(t)
	for _, i := range implementations {
		pair := socketpair(t, unix.SOCK_DGRAM)
		if err := i.reportSenders(pair[0], false, false); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(pair[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(dup(t, pair[0])), "ours")
		defer file.Close()
		var got letter
		answer := callAnswer{Numbers: []uintptr{unix.SYS_RECVMSG}, When: 1, Errno: unix.EINTR}
		start(t, role{Do: "receive from 3", Implementation: i.name, Answer: &answer}, withFile(file)).Decode(&got)
		if diff := cmp.Diff(letter{Sender: thisSender(), Text: "x"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", i.name, diff)
		}
	}
}

// If the kernel does not say whether a read of nothing is the end, that is an error. The sender
// that the kernel attaches to it would be root.
func TestReceiveAtAnUnknownEnd(t *testing.T) {
	seccomp.Need(t)
	for _, i := range implementations {
		for errno, want := range map[syscall.Errno]string{unix.EPERM: "operation not permitted", 0: "protocol error"} {
			pair := socketpair(t, unix.SOCK_STREAM)
			if err := errors.Join(i.reportSenders(pair[0], false, false), unix.Shutdown(pair[1], unix.SHUT_WR)); err != nil {
				t.Fatal(err)
			}
			file := os.NewFile(uintptr(dup(t, pair[0])), "ours")
			defer file.Close()
			var got letter
			start(t, role{Do: "receive from 3", Implementation: i.name, Calls: []seccomp.Call{seccomp.Option(unix.SO_TYPE)}, Errnos: []syscall.Errno{errno}}, withFile(file)).Decode(&got)
			if diff := cmp.Diff(letter{Err: want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", i.name, diff)
			}
		}
	}
}

// A message on a socket whose kernel was not asked for senders has none.
func TestReceiveWithoutSenders(t *testing.T) {
	for _, socketType := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		for _, i := range implementations {
			pair := socketpair(t, socketType)
			if _, err := unix.Write(pair[1], []byte("x")); err != nil {
				t.Fatal(err)
			}
			want := letter{Err: unix.ENODATA.Error()}
			got := []letter{i.receiveLetter(pair[0]), want}
			if socketType == unix.SOCK_DGRAM { // an empty one is not an end
				if err := unix.Send(pair[1], nil, 0); err != nil {
					t.Fatal(err)
				}
				got[1] = i.receiveLetter(pair[0])
			}
			if diff := cmp.Diff([]letter{want, want}, got); diff != "" {
				t.Errorf("%s, type %d (-want +got):\n%s", i.name, socketType, diff)
			}
		}
	}
}

func dup(t testing.TB, fd int) int {
	t.Helper()
	second, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return second
}

func TestWhyLost(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EMSGSIZE: "it is longer than the buffer",
		unix.ENOBUFS:  "it brought more control data than fits",
		unix.ENODATA:  "the kernel did not report who sent it",
		unix.EPROTO:   "the kernel's answer does not have the form that its headers define",
		unix.EAGAIN:   "",
		unix.EMFILE:   "",
	} {
		for _, i := range implementations {
			if got := i.whyLost(errno); got != want || i.isNoMessage(errno) != (errno == unix.EAGAIN) {
				t.Errorf("%s, %v: %q, no message: %v, want %q", i.name, errno, got, i.isNoMessage(errno), want)
			}
		}
	}
}

func TestSenderInLogs(t *testing.T) {
	s := peercred.Sender{PID: 1, UID: 2, GID: 3}
	credentials := &peercred.PeerCredentials{PID: 1, UID: 2, GID: 3}
	if s.String() != credentials.String() || !s.LogValue().Equal(credentials.LogValue()) {
		t.Errorf("%v, %v, want %v", s, s.LogValue(), credentials)
	}
}

// One read of a stream never returns bytes of two senders.
func TestReceiveSendersOfAStream(t *testing.T) {
	reexec.NeedRoot(t)
	server, client := connect(t)
	r, err := peercred.NewReceiver(server, peercred.ReceiverConfig{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := client.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := []letter{{Sender: thisSender(), Text: "x"}}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, uid := range []uint32{7, nobodysUID} {
		writer := start(t, role{Do: "write to 3", UID: &uid, GID: &uid}, withFile(file))
		want = append(want, letter{Sender: peercred.Sender{PID: writer.PID(), UID: uid, GID: uid}, Text: "x"})
		writer.Finish()
	}
	if _, err := client.Write([]byte("xx")); err != nil {
		t.Fatal(err)
	}
	want = append(want, letter{Sender: thisSender(), Text: "xx"})
	var got []letter
	for range want {
		p := make([]byte, 10)
		m, err := r.Receive(p)
		got = append(got, letter{m.Sender, string(p[:m.N]), errString(err)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func helperWriteTo3(role) error {
	_, err := unix.Write(3, []byte("x"))
	return err
}

func TestReceiverErrors(t *testing.T) {
	if r, err := peercred.NewReceiver(nil, peercred.ReceiverConfig{}); r != nil || err == nil {
		t.Errorf("nil: %v, %v", r, err)
	}
	if r, err := peercred.NewReceiver(&net.UnixConn{}, peercred.ReceiverConfig{}); r != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("zero: %v, %v", r, err)
	}
	conn, r := datagramSocket(t, peercred.ReceiverConfig{})
	var lost *peercred.ErrMessageLost
	if m, err := r.Receive(nil); !errors.Is(err, syscall.EINVAL) || errors.As(err, &lost) {
		t.Errorf("no buffer: %+v, %v, want EINVAL", m, err)
	}
	client := dialDatagram(t, conn)
	for _, text := range []string{"too long", "ok"} {
		if _, err := client.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 2)
	if m, err := r.Receive(p); !errors.As(err, &lost) || !errors.Is(err, syscall.EMSGSIZE) || err.Error() != "a message was lost: it is longer than the buffer" {
		t.Errorf("too long: %+v, %v, want *ErrMessageLost", m, err)
	}
	if m, err := r.Receive(p); string(p[:m.N]) != "ok" || err != nil {
		t.Errorf("the next: %q, %v", p[:m.N], err)
	}
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if m, err := r.Receive(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %+v, %v", m, err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		_, err := r.Receive(p)
		waiting <- err
	}()
	conn.Close()
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while waiting: %v", err)
	}
	if _, err := r.Receive(p); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if r, err := peercred.NewReceiver(conn, peercred.ReceiverConfig{}); r != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("NewReceiver of a closed conn: %v, %v", r, err)
	}
}

// Receivers of one socket share its messages, and each message comes once.
func TestReceiveConcurrently(t *testing.T) {
	conn, r := datagramSocket(t, peercred.ReceiverConfig{})
	another, err := peercred.NewReceiver(conn, peercred.ReceiverConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const readers, messages = 8, 400
	client := dialDatagram(t, conn)
	got := make(chan byte, messages)
	var all sync.WaitGroup
	for n := range readers {
		all.Go(func() {
			receiver := r
			if n%2 == 1 {
				receiver = another
			}
			for range messages / readers {
				var p [2]byte
				m, err := receiver.Receive(p[:])
				if m.N != 1 || m.Sender != thisSender() || err != nil {
					t.Errorf("%+v, %v", m, err)
				}
				got <- p[0]
			}
		})
	}
	counts := map[byte]int{}
	for n := range messages {
		if _, err := client.Write([]byte{byte(n % 200)}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	for range messages {
		counts[<-got]++
	}
	for b := range byte(200) {
		if counts[b] != 2 {
			t.Errorf("message %d came %d times, want 2", b, counts[b])
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	conn, r := datagramSocket(b, peercred.ReceiverConfig{})
	client := dialDatagram(b, conn)
	p := make([]byte, 10)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			client.Write(p)
			conn.Read(p)
		}
	})
	b.Run("ReadMsgUnix", func(b *testing.B) {
		oob := make([]byte, 1000)
		for b.Loop() {
			client.Write(p)
			conn.ReadMsgUnix(p, oob)
		}
	})
	b.Run("Receive", func(b *testing.B) {
		for b.Loop() {
			client.Write(p)
			if _, err := r.Receive(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
