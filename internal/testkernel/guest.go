//go:build linux && (cgo || !android)

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// guest is the init of the machine: it runs the plan and powers off. Whatever
// goes wrong before the last run ends is seen by the lines that are missing.
func guest() {
	if err := runPlan(); err != nil {
		fmt.Printf("\ninit: %v\n", err)
	}
	drainConsole()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// drainConsole waits until the serial port has sent everything: what is left in its
// buffer when the machine powers off is lost. It is tcdrain(3).
func drainConsole() {
	if err := unix.IoctlSetInt(int(os.Stdout.Fd()), unix.TCSBRK, 1); err != nil {
		fmt.Printf("\ninit: tcdrain: %v\n", err)
	}
}

func runPlan() error {
	if err := prepare(); err != nil {
		return err
	}
	text, err := os.ReadFile(planFile)
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if p.NoUserNamespaces {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			return err
		}
	}
	if p.AppArmorProfiles != nil {
		if err := loadProfiles(p.AppArmorProfiles); err != nil {
			return err
		}
	}
	if p.SELinuxPolicy != nil {
		if err := loadSELinuxPolicy(p.SELinuxPolicy); err != nil {
			return err
		}
	}
	if err := reportKernel(); err != nil {
		return err
	}
	for i, r := range p.Runs {
		tell(startLine, i)
		code, err := r.execute(p.Environment)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.Setting, r.Package, err)
		}
		tell(exitLine, i, code)
	}
	tell(endLine)
	return nil
}

// tell begins a line, whatever a test left unfinished.
func tell(format string, a ...any) { fmt.Printf("\n"+format+"\n", a...) }

var mounts = []struct{ kind, path string }{
	{"proc", "/proc"},
	{"sysfs", "/sys"},
	{"securityfs", "/sys/kernel/security"},
	{"devtmpfs", "/dev"},
	{"tmpfs", "/tmp"},
}

// descriptors is what the tests under load want, and more than a kernel allows
// that nobody has asked.
const descriptors = 1 << 16

// users are those that the tests know by name.
var users = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/:\ndaemon:x:1:1:daemon:/:\n",
	"/etc/group":  "root:x:0:\ndaemon:x:1:\n",
}

func prepare() error {
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	for path, text := range users {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.path, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	if err := unix.Sethostname([]byte("testkernel")); err != nil {
		return fmt.Errorf("sethostname: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: descriptors, Max: descriptors}); err != nil {
		return fmt.Errorf("setrlimit: %w", err)
	}
	return loopbackUp()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, loopback); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

func reportKernel() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	modules, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return err
	}
	tell(kernelLine, unix.ByteSliceToString(name.Release[:]), strings.TrimSpace(string(modules)))
	return nil
}

// execute runs a test binary where it can write, and nothing of it is left when
// it returns.
func (r run) execute(environment []string) (code int, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	process, err := os.StartProcess(r.Binary, append([]string{r.Binary}, r.Arguments...), &os.ProcAttr{
		Dir:   "/tmp",
		Env:   append([]string{"PATH=/usr/bin:/bin", "HOME=/tmp"}, environment...),
		Files: []*os.File{null, os.Stdout, os.Stdout},
	})
	if err != nil {
		return 0, err
	}
	status, err := reapUntil(process.Pid)
	if err != nil {
		return 0, err
	}
	if err := unix.Kill(-1, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return 0, fmt.Errorf("kill what is left: %w", err)
	}
	if _, err := reapUntil(0); err != unix.ECHILD {
		return 0, fmt.Errorf("reap what is left: %w", err)
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// reapUntil waits for pid, and meanwhile for the orphans, which are init's.
func reapUntil(pid int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || ended == pid {
			return status, err
		}
	}
}
