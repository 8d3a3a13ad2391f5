//go:build linux

// Command notifyd starts a service, and waits until the service says that it is ready, by
// sd_notify(3). It believes READY=1 only from the process that it started or, with --cgroup,
// from a process in the cgroup that it made for the service. Anybody else can send to the
// socket and is not believed.
//
//	notifyd sh -c 'prepare; exec my-server'
//	notifyd --cgroup /sys/fs/cgroup/notifyd-demo sh -c 'prepare; systemd-notify --ready; serve'
//
// systemd-notify(1) is a process of its own, and without privileges it sends as itself. So a
// script that calls it requires --cgroup, and that requires root or a delegated cgroup.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred/guard"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("notifyd: ")
	cgroup := flag.String("cgroup", "", "make this cgroup `DIRECTORY` of cgroup v2 for the service")
	timeout := flag.Duration("timeout", 90*time.Second, "how long to wait until the service is ready")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: notifyd [FLAGS] COMMAND [ARGUMENT]...\n\nStarts COMMAND and waits until it says that it is ready.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	if err := run(ctx, *cgroup, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

// run returns nil once the service is ready, and leaves it running. On an error it kills the
// service.
func run(ctx context.Context, cgroup string, command []string) error {
	dir, err := os.MkdirTemp("", "notifyd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the service may run as another user
		return err
	}
	service := &service{cgroup: cgroup}
	socket, err := guard.ListenPacket(ctx, "unixgram", filepath.Join(dir, "notify"), guard.Config{
		Policy:             guard.Func("the service", service.sends),
		Mode:               0o666,
		Prefetch:           guard.PrefetchProcess,
		ReceiveDescriptors: true, // for BARRIER=1
		OnDeny:             guard.LogDenied(slog.Default()),
	})
	if err != nil {
		return err
	}
	defer socket.Close()
	if err := service.start(command, socket.LocalAddr().String()); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	go func() {
		service.awaitEnd()
		socket.Close()
	}()
	err = untilReady(socket)
	if err == nil {
		return nil
	}
	_ = service.Process.Kill()
	_ = service.Wait() // for the ProcessState
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s is not ready: %w", command[0], ctx.Err())
	case !errors.Is(err, net.ErrClosed):
		return err
	}
	return fmt.Errorf("%s ended before it was ready (%v)", command[0], service.ProcessState)
}

// service is the process that may say that it is ready.
type service struct {
	*exec.Cmd
	cgroup string // its directory, or empty
	path   string // of the cgroup, as /proc has it
}

func (s *service) start(command []string, socket string) error {
	s.Cmd = exec.Command(command[0], command[1:]...)
	s.Stdout, s.Stderr = os.Stdout, os.Stderr
	s.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	if s.cgroup == "" {
		return s.Start()
	}
	if err := os.Mkdir(s.cgroup, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	dir, err := os.Open(s.cgroup)
	if err != nil {
		return err
	}
	defer dir.Close()
	s.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := s.Start(); err != nil {
		return err
	}
	s.path, err = cgroupOf(s.Process.Pid)
	return err
}

// cgroupOf returns the cgroup of version 2 of a process that was not reaped.
func cgroupOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if path, ok := strings.CutPrefix(line, "0::/"); ok && path != "" {
			return "/" + path, nil
		}
	}
	return "", errors.New("the service is not in a cgroup of its own, of cgroup v2")
}

// awaitEnd waits until the service has ended. It does not reap it, so that no other process
// gets the pid.
func (s *service) awaitEnd() {
	for {
		err := unix.Waitid(unix.P_PID, s.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// sends returns nil if the sender is the service. Nobody else has its pid, because it is not
// reaped before the socket is closed. Root can claim the pid, and is trusted.
func (s *service) sends(sender guard.Peer) error {
	if sender.Credentials().PID == int32(s.Process.Pid) {
		return nil
	}
	if s.cgroup == "" {
		return errors.New("it is another process, and there is no --cgroup")
	}
	process, err := sender.Process()
	if err != nil {
		return err // it has ended: systemd-notify waits for BARRIER=1 against that
	}
	cgroups, err := process.Cgroup()
	if err != nil {
		return err
	}
	for _, c := range cgroups {
		if c.Hierarchy == 0 && c.Path == s.path {
			return nil
		}
	}
	return errors.New("it is in another cgroup")
}

// untilReady reads messages until one says READY=1. It closes the descriptors of BARRIER=1,
// which tells their sender that all messages before were read.
func untilReady(socket *guard.PacketConn) error {
	buffer := make([]byte, 4096)
	ready := false
	for !ready {
		packet, err := socket.ReadPacket(buffer)
		if err != nil {
			return err
		}
		for line := range strings.SplitSeq(string(buffer[:packet.N]), "\n") {
			if status, ok := strings.CutPrefix(line, "STATUS="); ok {
				log.Printf("%v says %q", packet.Sender, status)
			}
			ready = ready || line == "READY=1"
		}
		for _, file := range packet.Files {
			file.Close()
		}
		if process, err := packet.Sender.Process(); err == nil {
			process.Close()
		}
	}
	return nil
}
