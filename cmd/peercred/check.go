//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"text/tabwriter"

	"example.com/peercred"
)

// implementation is what check asks of cpeercred and of native.
type implementation struct {
	name             string
	call             string
	credentials      func(fd int) (pid int32, uid, gid uint32, err error)
	answersForCaller func() (bool, error)
}

// report is check's result. Agree says that every implementation answered, the
// same as all others, and what is true: this process's own ids.
type report struct {
	System string   `json:"system"`
	Kernel string   `json:"kernel"`
	Linked string   `json:"linked"`
	Agree  bool     `json:"agree"`
	Rows   []answer `json:"implementations"`
}

// answer is what one implementation said.
type answer struct {
	Implementation string `json:"implementation"`
	Call           string `json:"call"`
	*peercred.PeerCredentials
	Agree bool   `json:"agree"`
	Error string `json:"error,omitempty"`
}

func runCheck(_ context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("check")
	_, err := parse(flags, "check [--json]",
		"Connects to a socket of its own and asks who is at the other end, through every\nimplementation that this build has. The right answer is this process.", 0, args, stdout, stderr)
	if err != nil {
		return err
	}
	conn, remove, err := connectToSelf()
	if err != nil {
		return err
	}
	defer remove()
	r, err := check(conn)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(stdout).Encode(r)
	} else {
		err = r.print(stdout)
	}
	if err == nil && !r.Agree {
		return errReported
	}
	return err
}

// connectToSelf returns the accepted end of a connection of this process.
func connectToSelf() (accepted *net.UnixConn, remove func(), err error) {
	dir, err := os.MkdirTemp("", "peercred")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	address := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
	listener, err := net.ListenUnix("unix", address)
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	client, err := net.DialUnix("unix", nil, address)
	if err != nil {
		return nil, nil, err
	}
	accepted, err = listener.AcceptUnix()
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return accepted, func() { accepted.Close(); client.Close() }, nil
}

func check(conn syscall.Conn) (report, error) {
	r := report{
		System: runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: kernelRelease(),
		Linked: peercred.Implementation,
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return r, err
	}
	err = raw.Control(func(fd uintptr) {
		for _, i := range implementations {
			r.Rows = append(r.Rows, i.ask(int(fd)))
		}
	})
	r.judge()
	return r, err
}

func (i implementation) ask(fd int) answer {
	a := answer{Implementation: i.name, Call: i.call}
	pid, uid, gid, err := i.credentials(fd)
	if err == nil {
		err = i.checkKernel()
	}
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.PeerCredentials = &peercred.PeerCredentials{PID: pid, UID: uid, GID: gid}
	return a
}

func (i implementation) checkKernel() error {
	switch wrong, err := i.answersForCaller(); {
	case err != nil:
		return fmt.Errorf("whether the kernel answers for the caller could not be found out: %w", err)
	case wrong:
		return errors.New("the kernel names the caller as the peer of every socket")
	}
	return nil
}

// judge fills in who agrees.
func (r *report) judge() {
	r.Agree = len(r.Rows) > 0
	for i := range r.Rows {
		a := &r.Rows[i]
		a.Agree = a.PeerCredentials != nil && isThisProcess(*a.PeerCredentials) &&
			r.Rows[0].PeerCredentials != nil && *a.PeerCredentials == *r.Rows[0].PeerCredentials
		r.Agree = r.Agree && a.Agree
	}
}

// isThisProcess allows for a system that does not tell the pid.
func isThisProcess(p peercred.PeerCredentials) bool {
	return (p.PID == int32(os.Getpid()) || p.PID == 0) && p.UID == uint32(os.Geteuid()) && p.GID == uint32(os.Getegid())
}

func (r report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SYSTEM\tKERNEL\tIMPLEMENTATION\tCALL\tPID\tUID\tGID\tAGREES")
	for _, a := range r.Rows {
		name := a.Implementation
		if name == r.Linked {
			name += " (linked)"
		}
		pid, uid, gid, agrees := "-", "-", "-", "no"
		if p := a.PeerCredentials; p != nil {
			pid, uid, gid = strconv.Itoa(int(p.PID)), strconv.FormatUint(uint64(p.UID), 10), strconv.FormatUint(uint64(p.GID), 10)
		}
		if a.Agree {
			agrees = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.System, r.Kernel, name, a.Call, pid, uid, gid, agrees)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, a := range r.Rows {
		if a.Error != "" {
			fmt.Fprintf(w, "%s: %s\n", a.Implementation, a.Error)
		}
	}
	return nil
}
