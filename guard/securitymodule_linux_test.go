package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/reexec"
)

func init() {
	roles["serve one"] = helperServeOne
	roles["connect and stay"] = helperConnectAndStay
}

// These variables say what the kernel has a policy for. With AppArmor that is a socket, and
// the executables of a server and a client that may use no other file. With SELinux it is the
// name of a socket file, and the label that such a file gets.
const (
	confinedServerVariable = "PEERCRED_TEST_CONFINED_SERVER"
	confinedClientVariable = "PEERCRED_TEST_CONFINED_CLIENT"
	confinedSocketVariable = "PEERCRED_TEST_CONFINED_SOCKET"

	namedSocketVariable      = "PEERCRED_TEST_NAMED_SOCKET"
	namedSocketLabelVariable = "PEERCRED_TEST_NAMED_SOCKET_LABEL"
)

// helperServeOne serves one peer. First it reports whether it can make a socket beside its
// own.
func helperServeOne(r role) error {
	config := Config{Policy: CurrentUser(), Mode: 0o660}
	other, err := Listen(context.Background(), "unix", r.Address+"-other", config)
	if err == nil {
		other.Close()
	}
	if err := reexec.Report(errors.Is(err, fs.ErrPermission)); err != nil {
		return err
	}
	listener, err := Listen(context.Background(), "unix", r.Address, config)
	if err != nil {
		return err
	}
	reexec.Step("listening")
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "welcome"); err != nil {
		return err
	}
	return errors.Join(conn.Close(), listener.Close())
}

// helperConnectAndStay connects, reports what it read, and stays until the test ends it.
func helperConnectAndStay(r role) error {
	conn, err := net.Dial("unix", r.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	reexec.Step(string(said))
	return nil
}

// A server and its client require a rule only for the path of the socket. They may use no
// other file, so no directory and no link beside it.
func TestAppArmorProfileOfOnePath(t *testing.T) {
	path := os.Getenv(confinedSocketVariable)
	if path == "" {
		t.Skipf("needs a profile of AppArmor: %s is empty", confinedSocketVariable)
	}
	for _, test := range []struct {
		name                               string
		serverIsConfined, clientIsConfined bool
	}{
		{"the server", true, false},
		{"the client", false, true},
		{"both", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(filepath.Dir(path)) })

			server := reexec.Start(t, role{Do: "serve one", Address: path}, confined(t, test.serverIsConfined, confinedServerVariable)...)
			var denied bool
			if server.Decode(&denied); denied != test.serverIsConfined {
				t.Errorf("the server was denied a socket beside its own: %v, want %v", denied, test.serverIsConfined)
			}
			server.Expect("listening")
			if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
				t.Fatalf("the socket is %v, %v, want the mode 0660", info, err)
			}
			server.Proceed()

			client := reexec.Start(t, role{Do: "connect and stay", Address: path}, confined(t, test.clientIsConfined, confinedClientVariable)...)
			client.Expect("welcome")
			label, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", client.PID()))
			if want := " (enforce)\n"; strings.HasSuffix(string(label), want) != test.clientIsConfined {
				t.Errorf("the client's label is %q, %v, with %q at its end: want %v", label, err, want, test.clientIsConfined)
			}
			client.Finish()
			server.Finish()
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Close: %v, want no socket", err)
			}
		})
	}
}

// confined executes the program that has a profile.
func confined(t *testing.T, is bool, variable string) []reexec.Option {
	t.Helper()
	if !is {
		return nil
	}
	executable := os.Getenv(variable)
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(executable, text, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(executable) })
	return []reexec.Option{func(c *exec.Cmd) { c.Path = executable }}
}

// The socket file has the label that the policy gives to files of its name. SELinux uses the
// name that bind(2) was called with, not a later one.
func TestSELinuxLabelByName(t *testing.T) {
	name, want := os.Getenv(namedSocketVariable), os.Getenv(namedSocketLabelVariable)
	if name == "" {
		t.Skipf("needs a policy of SELinux: %s is empty", namedSocketVariable)
	}
	path := filepath.Join(t.TempDir(), name)
	listenAt := func(path string) (label string) {
		listener, err := Listen(t.Context(), "unix", path, Config{Policy: CurrentUser()})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		text := make([]byte, 256)
		n, err := unix.Lgetxattr(path, "security.selinux", text)
		if err != nil {
			t.Fatalf("the label of %s: %v", path, err)
		}
		return strings.TrimRight(string(text[:n]), "\x00")
	}
	if got := listenAt(path); got != want {
		t.Errorf("the label of %s is %q, want %q", path, got, want)
	}
	if got := listenAt(path + "-other"); got == want {
		t.Errorf("the label of %s-other is %q, too: it does not depend on the name", path, got)
	}
}
