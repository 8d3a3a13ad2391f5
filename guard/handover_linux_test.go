package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
)

func init() {
	roles["inherit"] = helperInherit
	roles["hand over"] = helperHandOver
}

// inheritance is the result of [Inherited].
type inheritance struct {
	Err          string
	NotActivated bool
	Invalid      bool
	CloseOnExec  bool // of all descriptors that were handed over
	Address      string
}

// helperInherit takes the socket with each of the names in turn, and reports the last
// result. If Count is 1, it first sends "welcome" to one client.
func helperInherit(r role) error {
	// After an error because of the config the socket can still be taken.
	var files map[int]*os.File
	before := openDescriptors()
	for range 2 {
		listener, err := Inherited(r.Names[0], Config{})
		if listener != nil || err == nil || strings.Contains(err.Error(), "not on a Unix socket") {
			return fmt.Errorf("Inherited without a policy = %v, %v", listener, err)
		}
		if after := openDescriptors(); after != before {
			return fmt.Errorf("after a failure %d descriptors are open, and were %d", after, before)
		}
		if files != nil && !maps.Equal(files, inherited.files) {
			return errors.New("a descriptor has a second file, and the garbage collector closes the first")
		}
		files = maps.Clone(inherited.files)
	}
	var listener *Listener
	var err error
	for _, name := range r.Names {
		listener, err = Inherited(name, Config{Policy: everybody(), OnDeny: func(*Denied) {}, MaxConns: r.Count, AllowLoopbackTCP: isTCP(r.Network)})
	}
	said := inheritance{CloseOnExec: true}
	if err != nil {
		said.Err, said.NotActivated, said.Invalid = err.Error(), errors.Is(err, ErrNotActivated), errors.Is(err, syscall.EINVAL)
		if listener != nil {
			said.Err += ", and a listener"
		}
		return reexec.Report(said)
	}
	said.Address = listener.Addr().String()
	for fd := range inherited.taken {
		if len(inherited.taken) == 1 && setCloseOnExec(fd) == nil { // else the number can be that of a later duplicate
			return fmt.Errorf("descriptor %d is still open, although the listener has a duplicate", fd)
		}
	}
	for fd := range 10 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if fd >= firstInherited && err == nil && flags&unix.FD_CLOEXEC == 0 {
			said.CloseOnExec = false
		}
	}
	if r.Count == 1 {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "welcome"); err != nil {
			return err
		}
		conn.Close()
	}
	if err := listener.Close(); err != nil {
		return err
	}
	return reexec.Report(said)
}

// asService starts the process as a service manager does, by a shell: the variables are
// text of it, as in "LISTEN_PID=$$ LISTEN_FDS=1".
func asService(variables string, files ...*os.File) reexec.Option {
	return func(c *exec.Cmd) {
		shell := exec.Command("sh", "-c", variables+` exec "$0"`, testBinary())
		c.Path, c.Args, c.ExtraFiles = shell.Path, shell.Args, files
	}
}

// testBinary is the path of this program.
func testBinary() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// fileOf makes a socket of the kind and the file of it.
func fileOf(t *testing.T, kind string) *os.File {
	t.Helper()
	var file *os.File
	var err error
	var socket interface {
		File() (*os.File, error)
		Close() error
	}
	switch kind {
	case "unix", "unixpacket":
		socket, err = net.ListenUnix(kind, &net.UnixAddr{Name: abstract(), Net: kind})
	case "unixgram":
		socket, err = net.ListenUnixgram(kind, &net.UnixAddr{Name: abstract(), Net: kind})
	case "tcp":
		socket, err = net.ListenTCP(kind, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	case "connected":
		listener := listenOpenly(t)
		socket, err = net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr))
	case "file":
		file, err = os.Open(os.DevNull)
	}
	if socket != nil && err == nil {
		file, err = socket.File()
		socket.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

func TestInherited(t *testing.T) {
	needTool(t, "sh", "dash")
	const activated, notActivated, invalid = "activated", "not activated", "invalid"
	for _, test := range []struct {
		name      string
		variables string
		kinds     string // of the descriptors
		names     []string
		ends      string
		says      string
	}{
		{"one without a name", "LISTEN_PID=$$ LISTEN_FDS=1", "unix", []string{""}, activated, ""},
		{"packets", "LISTEN_PID=$$ LISTEN_FDS=1", "unixpacket", []string{""}, activated, ""},
		{"one of no name has this one", "LISTEN_PID=$$ LISTEN_FDS=1", "unix", []string{"unknown"}, activated, ""},
		{"one with a name", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a", "unix", []string{"a"}, activated, ""},
		{"whatever its name", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a", "unix", []string{""}, activated, ""},
		{"each of two", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b", "tcp unix", []string{"b"}, activated, ""},
		{"one after the other", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b", "unix unix", []string{"b", "a"}, activated, ""},
		{"again after a failure", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b", "unix unix", []string{"c", "", "a"}, activated, ""},

		{"nothing", "", "", []string{"a"}, notActivated, "LISTEN_FDS is not set; start this program from a systemd socket unit, or use Listen"},
		{"no pid", "LISTEN_FDS=1", "unix", []string{""}, notActivated, `LISTEN_PID is "" and this process is `},
		{"another pid", "LISTEN_PID=1 LISTEN_FDS=1", "unix", []string{""}, notActivated, `LISTEN_PID is "1" and this process is `},
		{"no number", "LISTEN_PID=$$ LISTEN_FDS=many", "unix", []string{""}, invalid, `LISTEN_FDS is "many"`},
		{"none", "LISTEN_PID=$$ LISTEN_FDS=0", "", []string{""}, invalid, `LISTEN_FDS is "0"`},
		{"as many as there can be", "LISTEN_PID=$$ LISTEN_FDS=1048576", "", []string{""}, "", "which LISTEN_FDS=1048576 names: fcntl(F_SETFD): bad file descriptor"},
		{"very many", "LISTEN_PID=$$ LISTEN_FDS=1048577", "", []string{""}, invalid, `LISTEN_FDS is "1048577"`},
		{"too few names", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a", "unix unix", []string{"a"}, invalid, `LISTEN_FDNAMES has 1 names, "a", and LISTEN_FDS is 2`},
		{"no such name", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a", "unix", []string{"b"}, invalid, `no socket has the name "b", the names are ["a"]: set FileDescriptorName=b`},
		{"two of a name", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:a", "unix unix", []string{"a"}, invalid, `several sockets match the name "a", out of ["a" "a"]: set a different`},
		{"two and no name", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b", "unix unix", []string{""}, invalid, `several sockets match the name ""`},
		{"twice", "LISTEN_PID=$$ LISTEN_FDS=1", "unix", []string{"", ""}, invalid, `the socket "unknown" was taken by an earlier call`},
		{"a descriptor that is not there", "LISTEN_PID=$$ LISTEN_FDS=30", "unix", []string{""}, "", "which LISTEN_FDS=30 names: fcntl(F_SETFD): bad file descriptor"},
		{"TCP", "LISTEN_PID=$$ LISTEN_FDS=1", "tcp", []string{""}, "", `guard: descriptor 3, the socket "unknown": it listens on 127.0.0.1:`},
		{"TCP", "LISTEN_PID=$$ LISTEN_FDS=1", "tcp", []string{""}, "", "not on a Unix socket: set ListenStream= in the socket unit to a path, or set AllowLoopbackTCP for an address on loopback: peer credentials only available for Unix sockets, got TCP"},
		{"datagrams", "LISTEN_PID=$$ LISTEN_FDS=1", "unixgram", []string{""}, invalid, "the socket does not listen: "},
		{"a connection, as of Accept=yes", "LISTEN_PID=$$ LISTEN_FDS=1", "connected", []string{""}, invalid, "the socket does not listen: "},
		{"no socket", "LISTEN_PID=$$ LISTEN_FDS=1", "file", []string{""}, "", "getsockopt(SO_ACCEPTCONN): socket operation on non-socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var files []*os.File
			for kind := range strings.FieldsSeq(test.kinds) {
				files = append(files, fileOf(t, kind))
			}
			var said inheritance
			helper := reexec.Start(t, role{Do: "inherit", Names: test.names, Count: 5}, asService(test.variables, files...))
			helper.Decode(&said)
			helper.Finish()
			if !strings.Contains(said.Err, test.says) || (said.Err == "") != (test.ends == activated) || said.NotActivated != (test.ends == notActivated) || said.Invalid != (test.ends == invalid) {
				t.Errorf("%+v, want %q and %q", said, test.ends, test.says)
			}
			if test.ends == activated && (!said.CloseOnExec || !strings.HasPrefix(said.Address, "@peercred-guard-")) {
				t.Errorf("%+v, want close-on-exec, and the socket's name", said)
			}
		})
	}
}

// The socket of the real systemd-socket-activate.
func TestSystemdSocketActivate(t *testing.T) {
	const tool = "systemd-socket-activate"
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("needs %s, of Debian's package systemd: %v", tool, err)
	}
	for _, test := range []struct {
		name    string
		options []string
		names   []string
		says    string // "" for a client that is served
	}{
		{"without a name", nil, []string{""}, ""},
		{"and its own name for that", nil, []string{"unknown"}, ""},
		{"with a name", []string{"--fdname=agent"}, []string{"agent"}, ""},
		{"with another name", []string{"--fdname=agent"}, []string{"admin"}, `no socket has the name "admin", the names are ["agent"]`},
		{"packets", []string{"--seqpacket"}, []string{""}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			activated := func(c *exec.Cmd) {
				arguments := append([]string{tool, "--listen=" + socket}, test.options...)
				for _, variable := range c.Env {
					if strings.HasPrefix(variable, "PEERCRED_TEST_") || strings.HasPrefix(variable, "GO") { // the tool hands on few others
						arguments = append(arguments, "--setenv="+variable)
					}
				}
				c.Path, c.Args, c.Stderr = path, append(arguments, testBinary()), nil
			}
			helper := reexec.Start(t, role{Do: "inherit", Names: test.names, Count: 1}, activated)
			network := "unix"
			if test.name == "packets" {
				network = "unixpacket"
			}
			client := dialWhenThere(t, network, socket)
			if test.says == "" {
				buffer := make([]byte, 10)
				if n, err := client.Read(buffer); string(buffer[:n]) != "welcome" {
					t.Errorf("the client read %q, %v", buffer[:n], err)
				}
			}
			var said inheritance
			helper.Decode(&said)
			helper.Finish()
			if (said.Err == "") != (test.says == "") || !strings.Contains(said.Err, test.says) || said.Err == "" && (said.Address != socket || !said.CloseOnExec) {
				t.Errorf("%+v, want the socket %s or %q", said, socket, test.says)
			}
			if _, err := os.Lstat(socket); err != nil {
				t.Errorf("the socket file, which is not ours to remove: %v", err)
			}
		})
	}
}

// dialWhenThere waits until a process listens.
func dialWhenThere(t *testing.T, network, path string) net.Conn {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; runtime.Gosched() {
		if conn, err := net.Dial(network, path); err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
	}
	t.Fatalf("nobody listens at %s", path)
	return nil
}

// servedEach is how many clients a server of TestHandOver serves until it hands over.
const servedEach = 40

// helperHandOver listens, sends "welcome" to servedEach clients, and hands its socket to a
// process like itself. The last of Count processes serves until the test ends it.
func helperHandOver(r role) error {
	config := Config{Policy: everybody(), Mode: 0o666, OnDeny: func(*Denied) {}}
	var listener *Listener
	var err error
	if r.Rule == 0 {
		if listener, err = Listen(context.Background(), "unix", r.Address, config); err == nil {
			fmt.Println("listening")
		}
	} else {
		config.Mode = 0
		listener, err = Inherited("agent", config)
	}
	if err != nil {
		return err
	}
	if int(r.Rule) == r.Count {
		go func() {
			reexec.Step("the last")
			listener.Close()
		}()
	}
	for n := 0; n < servedEach || int(r.Rule) == r.Count; n++ {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "welcome"); err != nil {
			return err
		}
		conn.Close()
	}
	file, err := listener.File()
	if err != nil {
		return err
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		return err
	}
	r.Rule++
	successor, err := reexec.Command(r)
	if err != nil {
		return err
	}
	asService("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=agent", file)(successor)
	successor.Stdin, successor.Stdout = os.Stdin, os.Stdout
	return successor.Run()
}

// A client connects again and again while the server hands over to a successor, which
// hands over to another. Each time the client is served. At the end the socket file is still
// there.
func TestHandOver(t *testing.T) {
	needTool(t, "sh", "dash")
	const successors = 3
	path := filepath.Join(openDirectory(t), "s")
	server := reexec.Start(t, role{Do: "hand over", Address: path, Count: successors})
	server.Expect("listening")
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	const connections = servedEach*successors + 100
	client := reexec.Start(t, role{Do: "connect", Address: path, Count: connections})
	for range connections {
		client.Expect("welcome")
	}
	client.Finish()
	server.Expect("the last")
	server.Finish()
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket file is another, %v", err)
	}
}

// Close removes the socket file of Listen, unless the file must stay. For another listener
// Close does what that listener does.
func TestListenerSetUnlinkOnClose(t *testing.T) {
	for _, unlink := range []bool{false, true} {
		for way, listen := range map[string]func(string, Config) (*Listener, error){"Listen": listenForUs, "NewListener": guardForUs} {
			path := filepath.Join(t.TempDir(), "s")
			listener, err := listen(path, Config{Policy: CurrentUser()})
			if err != nil {
				t.Fatal(err)
			}
			listener.SetUnlinkOnClose(!unlink)
			listener.SetUnlinkOnClose(unlink)
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); (err == nil) == unlink {
				t.Errorf("%s, unlink %v: the file: %v", way, unlink, err)
			}
		}
	}
}
