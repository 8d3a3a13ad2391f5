//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"example.com/peercred/internal/reexec"
)

// orders are what a client process is to do. It makes the connections, and says "."
// after each.
type orders struct {
	Path        string
	Connections int
	Welcome     string // what the server says to it, "" if it is not let in
}

// startClient runs this program again under another user.
func startClient(uid uint32, o orders) (*exec.Cmd, io.Reader, error) {
	cmd, err := reexec.Command(o)
	if err != nil {
		return nil, nil, err
	}
	cmd.Dir = "/" // ours may be closed to others
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	progress, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, progress, cmd.Start()
}

// runClient plays the role of a client. Its stdout is for dots, so it complains itself.
func runClient(o orders) error {
	if err := o.connectAll(); err != nil {
		log.Fatal(err)
	}
	return nil
}

func (o orders) connectAll() error {
	numbers := make(chan int)
	failures := make(chan error, inParallel)
	var clients sync.WaitGroup
	for range inParallel {
		clients.Go(func() {
			for n := range numbers {
				if err := o.connect(n); err != nil {
					failures <- fmt.Errorf("uid %d, connection %d: %w", os.Getuid(), n, err)
					for range numbers { // let the others end
					}
					return
				}
				fmt.Print(".")
			}
		})
	}
	for n := range o.Connections {
		numbers <- n
	}
	close(numbers)
	clients.Wait()
	close(failures)
	return <-failures // nil if there is none
}

// connect makes the n-th connection, and checks what comes of it. Each fifth dies at
// once, and each fifth shuts down half before it listens.
func (o orders) connect(n int) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: o.Path, Net: "unix"})
	if err != nil {
		return err
	}
	defer conn.Close()
	switch n % 5 {
	case 0:
		return nil
	case 1:
		err = conn.CloseWrite()
	}
	if err != nil && !isGone(err) {
		return err
	}
	said, err := io.ReadAll(conn)
	if err != nil && !isGone(err) {
		return err
	}
	if string(said) != o.Welcome {
		return fmt.Errorf("it was told %q, and should be told %q", said, o.Welcome)
	}
	return nil
}

// isGone tells that the server has closed the connection.
func isGone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.EPIPE)
}
