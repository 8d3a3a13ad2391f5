//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"

	"example.com/peercred"
)

var checkHelp = help{
	synopsis: "check [--json]",
	description: `Connects to its own sockets, a Unix socket and one of TCP over loopback, and asks who is
at the other end, through every implementation in this build. The correct answer is this process. A dash marks a fact
that this system does not report, or that only one implementation reports. There is
nothing to compare then, and the check does not fail. The reason is below the table.
The last part shows how reliable each answer is on this system.

Exit status: 0 all implementations gave the same, correct answers; 1 one did not, or
something else failed; 2 wrong usage.
`,
}

func runCheck(_ context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("check")
	_, err := checkHelp.parse(flags, args, stdout, stderr)
	if err != nil {
		return err
	}
	return checkSelf(func(r report) error {
		if *asJSON {
			return json.NewEncoder(stdout).Encode(r)
		}
		if err := r.printAgreement(stdout); err != nil {
			return err
		}
		return printSupport(stdout, r.Support)
	})
}

// checkSelf checks a connection to itself. It shows the answers, and fails if they are
// wrong.
func checkSelf(show func(report) error) error {
	conn, closeBoth, err := connectToSelf()
	if err != nil {
		return err
	}
	defer closeBoth()
	r, err := check(conn)
	if err != nil {
		return err
	}
	if err := show(r); err != nil {
		return err
	}
	if isFalse(r.Agree) {
		return errReported
	}
	return nil
}

// connectToSelf returns the accepted end of a connection of this process over a Unix socket.
func connectToSelf() (accepted net.Conn, closeBoth func(), err error) {
	dir, err := makeTempDir("peercred")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return nil, nil, err
	}
	return connectTo(listener)
}

// connectOverLoopback is connectToSelf over TCP.
func connectOverLoopback() (accepted net.Conn, closeBoth func(), err error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	return connectTo(listener)
}

// connectTo closes the listener.
func connectTo(listener net.Listener) (accepted net.Conn, closeBoth func(), err error) {
	defer listener.Close()
	client, err := net.Dial(listener.Addr().Network(), listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	accepted, err = listener.Accept()
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return accepted, func() { accepted.Close(); client.Close() }, nil
}

// makeTempDir makes a directory in TMPDIR.
func makeTempDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", fmt.Errorf("%w: this command makes a socket in TMPDIR, which is %s: set TMPDIR to a directory that it can write, such as TMPDIR=/tmp", err, os.TempDir())
	}
	return dir, nil
}

// report is the result of check. Agree is true if every implementation that can answer gave
// the same answers, and they are correct: this process. It is nil if there is one
// implementation and its answers are correct, because there is none to compare with.
type report struct {
	System  string        `json:"system"`
	Kernel  string        `json:"kernel"`
	Linked  string        `json:"linked"`
	Agree   *bool         `json:"agree"`
	Rows    []answers     `json:"implementations"`
	Support peercred.Info `json:"support"`
}

// answers are those of one implementation, each by the name of its fact.
type answers struct {
	Implementation string `json:"implementation"`
	*peercred.PeerCredentials
	Error string            `json:"error,omitempty"` // why there are no credentials
	Facts map[string]answer `json:"facts"`
}

// check asks every implementation about every fact.
func check(conn net.Conn) (report, error) {
	r := report{
		System:  runtime.GOOS + "/" + runtime.GOARCH,
		Kernel:  kernelRelease(),
		Linked:  peercred.Implementation,
		Support: peercred.Support(),
	}
	err := withDescriptor(conn, func(fd int) {
		for _, i := range implementations {
			r.Rows = append(r.Rows, i.askAll(fd))
		}
	})
	if len(r.Rows) != 1 {
		r.Agree = new(true)
	}
	if slices.ContainsFunc(facts, func(f fact) bool { return isFalse(r.agrees(f)) }) {
		r.Agree = new(false)
	}
	return r, err
}

func withDescriptor(conn net.Conn, ask func(fd int)) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { ask(int(fd)) })
}

func isFalse(b *bool) bool { return b != nil && !*b }

func (i implementation) askAll(fd int) answers {
	a := answers{Implementation: i.name, Facts: map[string]answer{}}
	credentials, err := i.askCredentials(fd)
	if err != nil {
		a.Error = err.Error()
	} else {
		a.PeerCredentials = credentials
	}
	for _, f := range facts {
		a.Facts[f.key()] = f.askOf(i, fd)
	}
	return a
}

// agrees reports whether all implementations that can answer gave the same, correct answer.
// All of them must report the credentials. It is nil if only one was asked, or only one
// answered.
func (r report) agrees(f fact) *bool {
	var said []string
	for _, row := range r.Rows {
		a := row.Facts[f.key()]
		switch {
		case a.Unsupported && !f.required:
			continue
		case a.Error != "" || !f.isTrue(a.Value):
			return new(false)
		}
		said = append(said, a.Value)
	}
	switch {
	case len(r.Rows) == 1 || len(said) == 1:
		return nil
	case len(r.Rows) == 0:
		return new(false)
	}
	return new(len(slices.Compact(said)) <= 1)
}

// printAgreement prints what each implementation says.
func (r report) printAgreement(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s, kernel %s, %s is linked\n\n", r.System, r.Kernel, r.Linked); err != nil {
		return err
	}
	var notes footnotes
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "FACT")
	for _, row := range r.Rows {
		fmt.Fprintf(table, "\t%s", row.Implementation)
	}
	fmt.Fprintln(table, "\tAGREE")
	for _, f := range facts {
		fmt.Fprint(table, f.name)
		for _, row := range r.Rows {
			a := row.Facts[f.key()]
			value := quoted(a.Value)
			if a.Error != "" {
				value = notes.missing(a.Error)
			}
			fmt.Fprintf(table, "\t%s", value)
		}
		fmt.Fprintf(table, "\t%s\n", r.agreement(f, &notes))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return notes.print(w)
}

// agreement is agrees in words. If no implementation reports a fact, the columns before have
// the reason.
func (r report) agreement(f fact, notes *footnotes) string {
	switch agree := r.agrees(f); {
	case agree != nil:
		return yesOrNo(*agree)
	case slices.ContainsFunc(r.Rows, func(a answers) bool { return a.Facts[f.key()].Error == "" }):
		return notes.missing("only one implementation reports this, so there is nothing to compare")
	}
	return "-"
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
