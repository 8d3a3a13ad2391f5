package peercred

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Inspect runs read on the directory of the process in /proc, and then checks that the
// process is still alive. If it is, read saw this process and not another one that got its
// pid, and Inspect returns the error of read. If the process has ended, Inspect returns
// *[ErrPeerProcessGone], and the caller must discard the findings.
//
// read must open files only by that path, and must not open any there after it has
// returned. It may call the other methods of the handle. A hostile process can make read
// slow, because files and memory may come from a file system that the process itself
// serves. So do not hold a lock or keep other peers waiting meanwhile.
//
// The contents of /proc are as of now, not as of connect time. A process can change
// while it is read. Much of the contents comes from the process itself, so it is no
// basis for a decision.
//
// The error wraps *[ErrPeerCredentialsUnavailable] if /proc does not show us the
// process although it is alive. The Reason says why and what to do:
//
//   - /proc is not mounted.
//   - The process is in a pid namespace that is not visible in this /proc.
//   - /proc is mounted with hidepid=invisible or hidepid=ptraceable (systemd:
//     ProtectProc=), and we may not ptrace the process (CAP_SYS_PTRACE). Members of the
//     group of the mount option gid= are exempt, except with hidepid=ptraceable.
//   - /proc is mounted with hidepid=noaccess, with the same exemptions as for
//     invisible. The error then also wraps EACCES, instead of the kernel's EPERM.
//
// The mount option subset=pid (systemd: ProcSubset=pid) does not matter to any method
// of a PeerProcess.
//
// Source: proc(5), pidfd_open(2), proc_pid_permission in fs/proc/base.c of Linux.
func (p *PeerProcess) Inspect(read func(procfs string) error) error {
	pid, found := p.procPID()
	switch {
	case found != nil:
	case pid == 0:
		found = unavailable(failedInspection, "the process is in a pid namespace that is not visible in this /proc")
	default:
		found = inspect("/proc/"+strconv.Itoa(int(pid)), read)
	}
	switch alive, err := p.Alive(); {
	case err != nil:
		return err
	case !alive:
		return &ErrPeerProcessGone{PID: pid}
	}
	return found
}

const failedInspection = "failed to inspect the peer's process"

// inspect checks again after an error of read, because /proc may hide the process by then,
// for example if it executed a set-user-ID program. The error of read is then misleading.
func inspect(procfs string, read func(procfs string) error) error {
	if err := checkVisible(procfs); err != nil {
		return err
	}
	err := read(procfs)
	if err == nil {
		return nil
	}
	if err := checkVisible(procfs); err != nil {
		return err
	}
	return err
}

// checkVisible looks up a file that the directory of every living process has. The
// errnos are those of proc_pid_permission and proc_pid_lookup in fs/proc/base.c.
func checkVisible(procfs string) error {
	_, err := os.Lstat(procfs + "/stat")
	switch {
	case errors.Is(err, os.ErrNotExist):
		return unavailable(failedInspection, "/proc hides the process (mount option hidepid=invisible or hidepid=ptraceable): "+
			"it requires CAP_SYS_PTRACE, the group of the mount option gid= (with invisible alone), or a /proc without hidepid")
	case errors.Is(err, syscall.EPERM):
		denied := unavailable(failedInspection, "/proc denies access to the process (mount option hidepid=noaccess): "+
			"it requires CAP_SYS_PTRACE, the group of the mount option gid=, or a /proc without hidepid")
		return fmt.Errorf("%w: %w", denied, syscall.EACCES)
	}
	return err
}

// Executable opens the file that /proc names as the program of the process, and returns
// its path. It opens that very file, even if another file is at the path by now. Close
// the file.
//
// It is for logs, and no basis for a decision, even if the file is trusted. The process
// can execute that program after it connected. In its own user namespace it can also
// name the program by prctl(PR_SET_MM), without executing it. Any process with the same
// uid may have made it load other code (LD_PRELOAD, ptrace). Any process that may write
// to the file can change it once it is no longer executed. So a hash describes the bytes
// that were read, not the code that runs.
//
// The path is for people. The file may have been moved, replaced or removed since (a
// removed file's path ends in " (deleted)"). It can also be a path in another mount
// namespace, and then means nothing here. The program of a script is its interpreter.
// Opening waits for the file system, which a hostile process may serve itself: see
// [PeerProcess.ExecutablePath].
//
// The error wraps EACCES if we may not ptrace the process. That usually requires the
// same uid, or CAP_SYS_PTRACE. The error wraps [os.ErrNotExist] while the process has
// no program: when it is ending, and for a moment while it executes another program.
// Only *[ErrPeerProcessGone] means that the process has ended. Otherwise Executable
// fails as [PeerProcess.Inspect] does. If /proc is not mounted or hides the process,
// the error wraps *[ErrPeerCredentialsUnavailable], and not os.ErrNotExist.
//
// Source: proc_pid_exe(5), PR_SET_MM_EXE_FILE(2const).
func (p *PeerProcess) Executable() (file *os.File, path string, err error) {
	err = p.Inspect(func(procfs string) (err error) {
		if file, err = os.Open(procfs + "/exe"); err != nil {
			return err
		}
		path, err = pathOf(file)
		return err
	})
	if err != nil {
		file.Close() // harmless if it is nil
		return nil, "", err
	}
	return file, path, nil
}

// ExecutablePath returns only the path of the program that the process is executing.
// Unlike [PeerProcess.Executable] it opens no file, so a hostile process that serves
// its own file system cannot make us wait. The limits of the path are the same as
// there. It is for people, and it fails as Executable does.
//
// Source: proc_pid_exe(5).
func (p *PeerProcess) ExecutablePath() (path string, err error) {
	err = p.Inspect(func(procfs string) (err error) {
		path, err = readLink(procfs + "/exe")
		return err
	})
	if err != nil {
		return "", err
	}
	return path, nil
}

// readLink returns an error for an empty path, which no link in /proc has.
func readLink(name string) (path string, err error) {
	path, err = os.Readlink(name)
	if err == nil && path == "" {
		return "", malformed("link "+name, path)
	}
	return path, err
}

// pathOf returns the path of an open file. The link that led to the file may lead
// elsewhere by now.
func pathOf(file *os.File) (path string, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return "", err
	}
	var read error
	err = raw.Control(func(fd uintptr) { path, read = readLink("/proc/self/fd/" + strconv.Itoa(int(fd))) })
	return path, errors.Join(err, read)
}

// Cmdline returns the arguments of the process, from its name on. It returns none for a
// process without arguments.
//
// The process can overwrite its arguments with any text. So they are for people, and no
// basis for a decision.
//
// The error wraps [os.ErrNotExist] while the process has no program: when it is ending,
// and for a moment while it executes another program. More than 8 MiB are an error.
// Otherwise Cmdline fails as [PeerProcess.Inspect] does. If /proc is not mounted or
// hides the process, the error wraps *[ErrPeerCredentialsUnavailable], and with
// hidepid=noaccess also EACCES.
//
// Source: proc_pid_cmdline(5).
func (p *PeerProcess) Cmdline() ([]string, error) {
	var text string
	err := p.Inspect(func(procfs string) (err error) {
		text, err = readCmdline(procfs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return parseCmdline(text), nil
}

func readCmdline(procfs string) (text string, err error) {
	text, err = readAtMost(procfs+"/cmdline", maxProcFile)
	if text == "" && err == nil {
		err = checkHasProgram(procfs)
	}
	return text, err
}

// checkHasProgram returns an error for a process whose memory is gone, and nil for one
// that has no arguments.
func checkHasProgram(procfs string) error {
	_, err := os.Readlink(procfs + "/exe")
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Cgroup is a control group that a process is in.
type Cgroup struct {
	// Hierarchy is the hierarchy's number, 0 for cgroup version 2.
	Hierarchy int `json:"hierarchy"`
	// Controllers are those of the hierarchy, or its name as in "name=systemd". It is
	// empty for cgroup version 2.
	Controllers []string `json:"controllers,omitempty"`
	// Path begins with "/" at the root of our cgroup namespace, and with "/.."
	// outside of it. It ends in " (deleted)" if the group has been removed.
	Path string `json:"path"`
}

// Cgroup returns the control groups of the process, one for each hierarchy. With cgroup
// version 2 alone there is one.
//
// The administrator decides who may move a process between groups, and can delegate that
// to users. A user can make groups below the user's own, with any name. So do not use the
// names of control groups to protect one user from another.
//
// Cgroup fails as [PeerProcess.Inspect] does. If /proc is not mounted or hides the
// process, the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess
// also EACCES.
//
// Source: cgroups(7), /proc/PID/cgroup.
func (p *PeerProcess) Cgroup() ([]Cgroup, error) {
	text, err := p.readProc("/cgroup")
	if err != nil {
		return nil, err
	}
	return parseCgroups(text)
}

// StartTime returns when the process was forked, not when it executed its current
// program. It is for people. Pid and start time together do not identify a process, and
// are no basis for a decision. The handle identifies it.
//
// The kernel counts hundredths of a second since boot (CLOCK_BOOTTIME, in our time
// namespace). StartTime converts them by the clocks as of now. So two calls may differ by
// some hundredths, and by more if the time of day was set in between.
//
// StartTime fails as [PeerProcess.Inspect] does. If /proc is not mounted or hides the
// process, the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess
// also EACCES. If the clock cannot be read, the error wraps the errno.
//
// Source: proc_pid_stat(5), clock_gettime(2), time_namespaces(7).
func (p *PeerProcess) StartTime() (time.Time, error) {
	stat, err := p.readProc("/stat")
	if err != nil {
		return time.Time{}, err
	}
	up, err := sinceBoot()
	if err != nil {
		return time.Time{}, p.failed("clock_gettime(CLOCK_BOOTTIME)", err)
	}
	return startTime(stat, up, time.Now())
}

// CurrentCredentials are the ids of a process as of now. [PeerCredentials] has the ids as
// of connect time.
type CurrentCredentials struct {
	RealUID       uint32 `json:"real_uid"`
	EffectiveUID  uint32 `json:"effective_uid"`
	SavedUID      uint32 `json:"saved_uid"`
	FilesystemUID uint32 `json:"filesystem_uid"`
	RealGID       uint32 `json:"real_gid"`
	EffectiveGID  uint32 `json:"effective_gid"`
	SavedGID      uint32 `json:"saved_gid"`
	FilesystemGID uint32 `json:"filesystem_gid"`
}

// CurrentCredentials returns the ids that the process has now. Base decisions on the
// ids as of connect time, from [GetPeerCredentials]. A process can drop ids after it
// connected. It can also gain ids by executing a set-user-ID program, but does not control
// that program.
//
// An id that our user namespace does not map is the overflow id, 65534. Each thread can
// have ids of its own. These are the ids of the first thread.
//
// The error is *[ErrPeerProcessGone] once the process has been reaped. Since Linux 6.13
// CurrentCredentials does not use /proc. Before that, and for a process that has no pid in
// our namespace, it fails as [PeerProcess.Inspect] does. If /proc is not mounted or hides
// the process, the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess
// also EACCES.
//
// Source: PIDFD_GET_INFO in fs/pidfs.c; before Linux 6.13 proc_pid_status(5).
func (p *PeerProcess) CurrentCredentials() (*CurrentCredentials, error) {
	var ids [8]uint32
	var asked error
	err := p.control("ioctl(PIDFD_GET_INFO)", func(pidfd int) error {
		ids, asked = processIDs(pidfd)
		return nil
	})
	if err == nil {
		err = p.ifReaped(asked)
	}
	if err == nil && asked != nil {
		ids, err = p.idsFromStatus()
	}
	if err != nil {
		return nil, err
	}
	return &CurrentCredentials{ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], ids[6], ids[7]}, nil
}

func (p *PeerProcess) idsFromStatus() (ids [8]uint32, err error) {
	text, err := p.readProc("/status")
	if err != nil {
		return ids, err
	}
	return parseStatusIDs(text)
}

// procPID returns the pid that the process has in the pid namespace of /proc, or 0 if it
// has none there. A /proc belongs to the pid namespace of the process that mounted it.
func (p *PeerProcess) procPID() (pid int32, err error) {
	const file = "/proc/self/fdinfo/"
	var text string
	err = p.control("read "+file, func(pidfd int) (err error) {
		text, err = readAtMost(file+strconv.Itoa(pidfd), maxProcFile)
		return err
	})
	switch {
	case errors.Is(err, os.ErrNotExist): // although the descriptor is open
		if err := p.Signal(nil); isPeerProcessGone(err) {
			return 0, err
		}
		return 0, unavailable(failedInspection, "/proc is not mounted, or belongs to a pid namespace that this process is not in: mount a /proc of its own pid namespace")
	case err != nil:
		return 0, err
	}
	pid, err = parseFdinfoPID(text)
	switch {
	case err != nil:
		return 0, err
	case pid == -1:
		return 0, &ErrPeerProcessGone{}
	}
	return pid, nil
}

// checkOwnProc returns an error if /proc belongs to another pid namespace than ours. In
// that one this process has more than one pid, or none.
func checkOwnProc() error {
	text, err := readAtMost("/proc/self/status", maxProcFile)
	if err != nil {
		return fmt.Errorf("peer process: %w", err)
	}
	if line, ok := lineOf(text, "NSpid:"); !ok || len(strings.Fields(line)) != 1 {
		return unavailable(failedInspection, "this kernel reports a pid only through /proc, and this /proc belongs to another pid namespace")
	}
	return nil
}

// maxProcFile limits how much of a file is read. A process can make the kernel show any
// part of its memory as its command line.
const maxProcFile = 8 << 20

func (p *PeerProcess) readProc(name string) (text string, err error) {
	err = p.Inspect(func(procfs string) (err error) {
		text, err = readAtMost(procfs+name, maxProcFile)
		return err
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

func readAtMost(name string, most int64) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	switch {
	case err != nil:
		return "", err
	case int64(len(text)) > most:
		return "", fmt.Errorf("%s: longer than %d bytes", name, most)
	}
	return string(text), nil
}
