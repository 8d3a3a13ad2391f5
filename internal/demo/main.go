//go:build unix && (cgo || (!android && !ios))

// Command demo shows peercred at work: a server on a temporary socket, clients
// under several users, and what the kernel tells the server of each. It needs Go
// and nothing else; where there is a C compiler it shows both implementations.
// It exits with 1 if an answer is not what it must be.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// setting is one of the two builds of the command.
type setting struct {
	cgo   string // CGO_ENABLED
	title string
}

var settings = []setting{
	{"1", "cpeercred: C shims, CGO_ENABLED=1"},
	{"0", "native: golang.org/x/sys, CGO_ENABLED=0"},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("demo: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "peercred-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users run what is in it
		return err
	}
	fmt.Println("A server asks the kernel who connects.")
	for _, s := range settings {
		fmt.Printf("\n%s\n", s.title)
		if s.cgo == "1" {
			if compiler, ok := cCompiler(); !ok {
				fmt.Printf("  skipped: there is no C compiler (%s) on this machine\n", compiler)
				continue
			}
		}
		if err := demonstrate(s, dir); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

// cCompiler names the C compiler that Go would call, and whether it is there.
func cCompiler() (name string, ok bool) {
	out, err := exec.Command("go", "env", "CC").Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) == 0 {
		return "go env CC tells none", false
	}
	_, err = exec.LookPath(fields[0])
	return fields[0], err == nil
}

func demonstrate(s setting, dir string) error {
	binary := filepath.Join(dir, "peercred-"+s.cgo)
	build := exec.Command("go", "build", "-o", binary, "./cmd/peercred")
	build.Env = append(os.Environ(), "CGO_ENABLED="+s.cgo)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("%v: %w", build, err)
	}
	check, err := exec.Command(binary, "check").Output()
	agreement, _, _ := strings.Cut(string(check), "\n\nWhat an answer is worth") // which is for reading, not for a show
	fmt.Print(indent(agreement))
	if err != nil {
		return fmt.Errorf("peercred check: %w", err)
	}
	return serve(binary, filepath.Join(dir, "s"+s.cgo))
}

// serve runs the server, and a client under each user.
func serve(binary, socket string) error {
	server := exec.Command(binary, "listen", "--json", "--mode", "0666", socket)
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := server.StderrPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Wait()
	defer server.Process.Signal(syscall.SIGTERM)

	complaints := bufio.NewReader(stderr)
	if line, err := complaints.ReadString('\n'); !strings.HasPrefix(line, "listening") {
		return fmt.Errorf("the server said %q: %w", line, err)
	}
	go io.Copy(os.Stderr, complaints)
	fmt.Printf("  the server, pid %d, listens on %s\n", server.Process.Pid, socket)
	seen := json.NewDecoder(stdout)
	for _, c := range clients() {
		if err := c.connect(binary, socket, seen); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		fmt.Println("  run as root, it connects as two more users")
	}
	return nil
}

// client is a user under whom to connect.
type client struct{ uid, gid uint32 }

// clients are this user and, if we may become others, two more.
func clients() []client {
	all := []client{{uint32(os.Geteuid()), uint32(os.Getegid())}}
	if os.Geteuid() == 0 {
		all = append(all, client{1, 1}, client{65534, 65534})
	}
	return all
}

// peer is a line of "peercred listen --json".
type peer struct {
	PID         int
	UID, GID    uint32
	User, Group string
}

func (c client) connect(binary, socket string, seen *json.Decoder) error {
	dial := exec.Command(binary, "dial", socket)
	dial.Stderr = os.Stderr
	if os.Geteuid() == 0 {
		dial.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.gid}}
	}
	if err := dial.Run(); err != nil && runtime.GOOS != "netbsd" { // its dialling end is told nothing
		return fmt.Errorf("%v as uid %d: %w", dial, c.uid, err)
	}
	var p peer
	if err := seen.Decode(&p); err != nil {
		return fmt.Errorf("the server's answer about uid %d: %w", c.uid, err)
	}
	fmt.Printf("  a client, pid %d, connects as uid=%d gid=%d; the kernel says pid=%d uid=%d(%s) gid=%d(%s)\n",
		dial.Process.Pid, c.uid, c.gid, p.PID, p.UID, p.User, p.GID, p.Group)
	if (p.PID != dial.Process.Pid && p.PID != 0) || p.UID != c.uid || p.GID != c.gid {
		return errors.New("that is not the client")
	}
	return nil
}

func indent(text string) string {
	var indented strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		if line != "\n" {
			indented.WriteString("  ")
		}
		indented.WriteString(line)
	}
	return indented.String()
}
