//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/peercred/guard"
)

var demoHelp = help{
	synopsis: "demo",
	description: `Shows the command at work. First it shows the answers of the implementations in this
build. Then it starts a server, and shows what the kernel reports about each
client. The clients run as this user. If this user is root, they also run as two
other users. The socket is in a new directory in TMPDIR, which is removed at the end.

Exit status: 0 each client was identified correctly; 1 one was not, the demo was
interrupted, or something else failed; 2 wrong usage.
`,
}

// runDemo starts this program again for each part, and prints the results.
func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if part, ok := demoParts[args[0]]; ok && len(args)-1 == part.operands {
			return part.start(ctx, args[1:], stdout)
		}
	}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	if _, err := demoHelp.parse(flags, args, stdout, stderr); err != nil {
		return err
	}
	err := demo{interruptibleWriter{ctx, stdout}}.run(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// demo is the process that prints. It starts the parts.
type demo struct{ stdout io.Writer }

func (d demo) run(ctx context.Context) error {
	check, err := demoProcess(ctx, "check")
	if err != nil {
		return err
	}
	agreement, failed := check.Output()
	if _, err := fmt.Fprintf(d.stdout, "A server asks the kernel who connects.\n\n%s\n", agreement); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("the check above failed: %w", failed)
	}
	return d.serve(ctx)
}

// serve runs a server, and clients that connect to it.
func (d demo) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server, err := demoProcess(ctx, "server")
	if err != nil {
		return err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		stop()
		_ = server.Wait() // until it has removed its directory
	}()

	said := bufio.NewReader(stdout)
	line, err := said.ReadString('\n')
	path, listens := strings.CutPrefix(strings.TrimSuffix(line, "\n"), demoListens)
	if err != nil || !listens {
		return fmt.Errorf("the server did not start: %s", cmp.Or(strings.TrimSpace(line), fmt.Sprint(err)))
	}
	if _, err := fmt.Fprintf(d.stdout, "the server, pid %d, %s%s\n", server.Process.Pid, demoListens, path); err != nil {
		return err
	}
	seen := json.NewDecoder(said)
	for _, c := range demoClients() {
		if err := d.connect(ctx, c, path, seen); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		_, err = fmt.Fprintln(d.stdout, "as root, the demo also connects as two other users")
	}
	return err
}

// connect runs a client, and compares it with what the server says about it in seen.
func (d demo) connect(ctx context.Context, c demoClient, path string, seen *json.Decoder) error {
	client, err := demoProcess(ctx, "client", strconv.Itoa(c.uid), strconv.Itoa(c.gid), path)
	if err != nil {
		return err
	}
	switch said, err := client.Output(); {
	case err != nil:
		return fmt.Errorf("the client under uid %d: %w: %s", c.uid, err, bytes.TrimSpace(said))
	case len(said) > 0:
		_, err := fmt.Fprintf(d.stdout, "no client connects as uid=%d: %s", c.uid, said)
		return err
	}
	var p peer
	if err := seen.Decode(&p); err != nil {
		return fmt.Errorf("read what the server says about uid %d: %w", c.uid, err)
	}
	pid := client.Process.Pid
	_, err = fmt.Fprintf(d.stdout, "a client, pid %d, connects as uid=%d gid=%d; the kernel says pid=%d uid=%d%s gid=%d%s\n",
		pid, c.uid, c.gid, p.PID, p.UID, inBrackets(p.User), p.GID, inBrackets(p.Group))
	if err == nil && (p.PID != int32(pid) && p.PID != 0 || p.UID != uint32(c.uid) || p.GID != uint32(c.gid)) {
		err = errors.New("that is not the client")
	}
	return err
}

// patience is how long the demo waits for a part that may hang.
const patience = time.Minute

// demoProcess returns this program as a part of the demo.
//
// A part ends when its stdin ends, and removes what it made. Its stdin is a pipe that only
// we hold. The kernel closes the pipe when we end, even by SIGKILL. A part has its own
// process group, so a signal from the terminal comes to us alone.
func demoProcess(ctx context.Context, args ...string) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	part := exec.CommandContext(ctx, executable, append([]string{"demo"}, args...)...)
	part.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	part.Stderr = os.Stderr // for a panic; everything else goes to stdout
	stdin, err := part.StdinPipe()
	if err != nil {
		return nil, err
	}
	part.Cancel = stdin.Close
	part.WaitDelay = patience // then it is killed
	return part, nil
}

// demoPart is a part of the demo. It is not for use by hand.
type demoPart struct {
	operands int
	run      func(ctx context.Context, args []string, stdout io.Writer) error
}

var demoParts = map[string]demoPart{
	"check":  {0, demoCheck},
	"server": {0, demoServe},
	"client": {3, demoConnect},
}

// start prints an error to stdout, where the demo reads it.
func (p demoPart) start(ctx context.Context, args []string, stdout io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	err := p.run(ctx, args, stdout)
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintln(stdout, err)
		return errReported
	}
	return err
}

// demoListens comes before the path of the server's socket.
const demoListens = "listens on "

func demoCheck(_ context.Context, _ []string, stdout io.Writer) error {
	return checkSelf(func(r report) error { return r.printAgreement(stdout) })
}

// demoServe prints the path of its socket, and then what "peercred listen --json" prints.
func demoServe(ctx context.Context, _ []string, stdout io.Writer) error {
	dir, err := makeTempDir("peercred-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for clients under other users
		return err
	}
	var uids []uint32
	for _, c := range demoClients() {
		uids = append(uids, uint32(c.uid))
	}
	path := filepath.Join(dir, "s")
	listener, err := guard.Listen(ctx, "unix", path, guard.Config{
		Policy: guard.UIDs(uids...), Mode: 0o666, OnDeny: func(*guard.Denied) {}, // others are not part of the demo
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	if _, err := fmt.Fprintln(stdout, demoListens+path); err != nil {
		return err
	}
	return showPeers(listener, false, func(p shown) error { return p.show(stdout, true, nil) })
}

// demoClient has the ids under which a client connects.
type demoClient struct{ uid, gid int }

// demoClients returns our own ids and, if we are root, two others.
func demoClients() []demoClient {
	all := []demoClient{{os.Geteuid(), os.Getegid()}}
	if os.Geteuid() == 0 {
		all = append(all, demoClient{1, 1}, demoClient{65534, 65534})
	}
	return all
}

// demoConnect takes uid, gid and path. If it cannot take the ids, as in a user namespace
// without such a user, it prints the reason and nothing else.
func demoConnect(ctx context.Context, args []string, stdout io.Writer) error {
	uid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if err := takeIDs(uid, gid); err != nil {
		fmt.Fprintln(stdout, err)
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", args[2])
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: every user must be able to enter TMPDIR; use another directory, such as TMPDIR=/tmp", err)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	return awaitAdmission(ctx, conn, patience)
}

// takeIDs also drops all supplementary groups.
func takeIDs(uid, gid int) error {
	if uid == os.Geteuid() {
		return nil
	}
	if err := syscall.Setgroups([]int{}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	return nil
}

// interruptibleWriter gives up a write when its context ends. A write to a pipe can take as
// long as its reader likes.
type interruptibleWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w interruptibleWriter) Write(text []byte) (int, error) {
	text = bytes.Clone(text) // the caller may change it before we have written
	done := make(chan struct{})
	var written int
	var failed error
	go func() {
		defer close(done)
		written, failed = w.w.Write(text)
	}()
	select {
	case <-done:
		return written, failed
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}
