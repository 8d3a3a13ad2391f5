//go:build !android

package peercred_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
)

// reuseReport is a server's report about a client that exited and whose pid another process
// got.
type reuseReport struct {
	Client, Newcomer int32                     // the pids that fork gave them
	Credentials      *peercred.PeerCredentials // of the socket, once the newcomer is there
	Impostor         string                    // what /proc says that the pid in them runs
	Alive            bool
	Inspected        bool // whether the reader was run
	Gone             map[string]bool
	SurvivedSignal   bool // the newcomer, a SIGKILL through the handle
}

// A reused pid names the wrong process. The handle does not.
func TestTrap07PIDReuse(t *testing.T) {
	needPidfd(t)
	reexec.NeedRoot(t)
	server := start(t, role{Do: "reuse a pid"}, inNamespace(syscall.CLONE_NEWPID|syscall.CLONE_NEWNS, 0, 0))
	var got reuseReport
	server.Decode(&got)
	server.Finish()
	if got.Client < 2 {
		t.Fatalf("the client's pid was %d", got.Client)
	}
	want := reuseReport{
		Client: got.Client, Newcomer: got.Client,
		Credentials:    &peercred.PeerCredentials{PID: got.Client},
		Impostor:       "the newcomer",
		Gone:           map[string]bool{"Inspect": true, "Executable": true, "Cmdline": true, "Cgroup": true, "StartTime": true, "PID": true, "Signal": true, "CurrentCredentials": true},
		SurvivedSignal: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a server whose client's pid was taken again (-want +got):\n%s", diff)
	}
}

// helperReuseAPID is the first process of a pid namespace. Only its children get pids there,
// and ns_last_pid sets the next one.
func helperReuseAPID(role) error {
	if err := mountOwnProc(); err != nil {
		return err
	}
	listener, err := net.Listen("unix", abstract())
	if err != nil {
		return err
	}
	var r *reuse
	for range 10 {
		if r, err = reusePID(listener); !errors.Is(err, errTaken) {
			break
		}
	}
	if err != nil {
		return err
	}
	client, newcomer, conn, p := r.client, r.newcomer, r.conn, r.process
	defer p.Close()

	got := reuseReport{Client: int32(client.Process.Pid), Newcomer: int32(newcomer.Process.Pid), Gone: map[string]bool{}}
	if got.Credentials, err = peercred.GetPeerCredentials(conn); err != nil {
		return err
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", got.Credentials.PID))
	if err != nil {
		return err
	}
	got.Impostor = unix.ByteSliceToString(cmdline)
	if got.Alive, err = p.Alive(); err != nil {
		return err
	}
	methods := inspections(p)
	methods["Inspect"] = func() error {
		return p.Inspect(func(string) error { got.Inspected = true; return nil })
	}
	methods["PID"] = func() error { _, err := p.PID(); return err }
	methods["Signal"] = func() error { return p.Signal(syscall.SIGKILL) }
	methods["CurrentCredentials"] = func() error { _, err := p.CurrentCredentials(); return err }
	for name, method := range methods {
		var gone *peercred.ErrPeerProcessGone
		got.Gone[name] = errors.As(method(), &gone)
	}
	// A SIGKILL that was sent would have ended it: ask it for another line.
	got.SurvivedSignal = newcomer.answers()
	if err := reexec.Report(got); err != nil {
		return err
	}
	return newcomer.kill()
}

// reuse is a client that died, and the newcomer that has its pid.
type reuse struct {
	client, newcomer *child
	conn             net.Conn
	process          *peercred.PeerProcess // the client's
}

func reusePID(listener net.Listener) (*reuse, error) {
	r := &reuse{}
	var err error
	if r.client, err = startChild("a client", role{Do: "connect", Network: "unix", Address: listener.Addr().String()}); err != nil {
		return nil, err
	}
	if r.conn, err = listener.Accept(); err != nil {
		return nil, err
	}
	if r.process, err = peercred.OpenPeerProcess(r.conn); err != nil {
		return nil, err
	}
	if err := r.client.kill(); err != nil {
		return nil, err
	}
	r.newcomer, err = takePID(r.client.Process.Pid)
	return r, err
}

// child is a helper of a helper.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(name string, r role) (*child, error) {
	c := &child{Cmd: exec.Command("/proc/self/exe")}
	c.Args = []string{name}
	c.Stderr = os.Stderr
	var err error
	if c.Env, err = reexec.Environment(r); err != nil {
		return nil, err
	}
	if c.in, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.Start()
}

func (c *child) kill() error {
	if err := c.Process.Kill(); err != nil {
		return err
	}
	var killed *exec.ExitError
	if err := c.Wait(); !errors.As(err, &killed) {
		return err
	}
	return nil
}

// errTaken means that a thread of the runtime has the pid, and keeps it.
var errTaken = errors.New("the pid was not to be had")

// takePID starts a process that has the pid. The runtime's threads take pids too,
// so that it may need some tries.
func takePID(pid int) (*child, error) {
	for range 100 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			return nil, err
		}
		c, err := startChild("the newcomer", role{Do: "pause twice"})
		if err != nil {
			return nil, err
		}
		if c.Process.Pid == pid {
			_, err := c.out.ReadString('\n')
			return c, err
		}
		if err := c.kill(); err != nil {
			return nil, err
		}
	}
	return nil, errTaken
}

// answers allows the child to go on to its next step, and reports whether it did.
func (c *child) answers() bool {
	io.WriteString(c.in, "\n")
	line, err := c.out.ReadString('\n')
	return line == "still here\n" && err == nil
}

func helperPauseTwice(role) error {
	reexec.Step("here")
	reexec.Step("still here")
	return nil
}
