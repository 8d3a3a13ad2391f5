//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/peercred/benchmarks/internal/order"
)

// connection is the one that the workers ask about. We are its peer.
type connection struct {
	accepted *os.File // what a worker gets as descriptor 3
	dialled  net.Conn
}

func connect() (*connection, error) {
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	dialled, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	conn, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	accepted, err := conn.(*net.UnixConn).File()
	if err != nil {
		return nil, err
	}
	return &connection{accepted, dialled}, nil
}

func (c *connection) close() {
	c.accepted.Close()
	c.dialled.Close()
}

// handTo lets a process that is not started yet inherit the connection.
func (c *connection) handTo(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{c.accepted} }

// worker is a process that measures a group when it is told to.
type worker struct {
	setting  setting
	subjects []order.Subject
	cmd      *exec.Cmd
	stdin    io.Closer
	orders   *json.Encoder
	answers  *json.Decoder
}

func startWorker(program string, s setting, group string, c *connection) (*worker, error) {
	cmd := exec.Command(program, order.Measure, group)
	cmd.Stderr = os.Stderr
	c.handTo(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &worker{setting: s, cmd: cmd, stdin: stdin, orders: json.NewEncoder(stdin), answers: json.NewDecoder(stdout)}
	if err := w.answers.Decode(&w.subjects); err != nil {
		w.stop()
		return nil, fmt.Errorf("worker %s of %s: %w", s.name, group, err)
	}
	return w, nil
}

// round returns the nanoseconds of each subject.
func (w *worker) round(o order.Round) (map[string]float64, error) {
	if err := w.orders.Encode(o); err != nil {
		return nil, err
	}
	var a order.Answer
	if err := w.answers.Decode(&a); err != nil {
		return nil, fmt.Errorf("worker %s: %w", w.setting.name, err)
	}
	return a.Nanoseconds, nil
}

func (w *worker) stop() error {
	w.stdin.Close()
	return w.cmd.Wait()
}
