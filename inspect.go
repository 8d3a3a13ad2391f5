package peercred

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Inspect runs read on the process's directory in /proc, and then makes sure that
// the process has not ended meanwhile: what read saw under that path was of this
// process, not of another that has its pid by now. If the process has ended, Inspect
// returns *[ErrPeerProcessGone], and the caller must throw the findings away.
// Otherwise it returns read's error.
//
// read must open what it needs by that path, and open nothing there after it has
// returned. It may take its time, and may call the other methods of the handle. A
// hostile process can make it take long: what is read of its memory, or opened, may
// come from a file system that the process itself serves. So hold no lock, and do
// not keep other peers waiting meanwhile.
//
// What is in /proc is as of now, not as of connect time, and a process can have
// changed while it was read. Much of it the process says of itself, which is no
// ground for a decision.
//
// The error wraps *[ErrPeerCredentialsUnavailable] if /proc does not show us the
// process although it is alive. The Reason says why and what to do:
//
//   - /proc is not mounted.
//   - The process is in a pid namespace that is not visible in this /proc.
//   - /proc is mounted with hidepid=invisible or hidepid=ptraceable (systemd:
//     ProtectProc=), and we may neither ptrace the process (CAP_SYS_PTRACE) nor are
//     in the group of the mount option gid=, which hidepid=ptraceable ignores.
//   - /proc is mounted with hidepid=noaccess, likewise. The error then wraps EACCES
//     too, in place of the kernel's EPERM.
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

// inspect keeps read's error from being taken for one about the process when /proc
// hides the process. The process may become hidden while read runs: it does when it
// executes a set-user-ID program.
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
			"it takes CAP_SYS_PTRACE, the group of the mount option gid= (with invisible alone), or a /proc without hidepid")
	case errors.Is(err, syscall.EPERM):
		denied := unavailable(failedInspection, "/proc denies access to the process (mount option hidepid=noaccess): "+
			"it takes CAP_SYS_PTRACE, the group of the mount option gid=, or a /proc without hidepid")
		return fmt.Errorf("%w: %w", denied, syscall.EACCES)
	}
	return err
}

// Executable opens the file that /proc names as the process's program, and tells its
// path. The file is the very one, whatever is at the path by now; close it.
//
// It is for logs, and no ground for a decision, even if the file is trusted. A
// process can choose what is named: by executing this program only after it
// connected, or, in a user namespace of its own, by prctl(PR_SET_MM) without
// executing it at all. Whoever runs under the same uid may have told it to load other
// code (LD_PRELOAD, ptrace). And whoever may write to the file can change it once
// it is not executed any more: a hash is one of what was read, not of what runs.
//
// The path is for people: the file may have been moved or replaced since, or
// removed (then it ends in " (deleted)"), and it can be one of another mount
// namespace, which means nothing here. Of a script the program is the interpreter.
// Opening waits for the file system, which a hostile process may serve itself: see
// [PeerProcess.ExecutablePath].
//
// The error wraps EACCES if we may not ptrace the process (it takes the same uid,
// mostly, or CAP_SYS_PTRACE). It wraps [os.ErrNotExist] while the process has no
// program: at its end, and for a moment as it executes another. That a process has
// ended only *[ErrPeerProcessGone] says. Otherwise it fails as [PeerProcess.Inspect]
// does: where /proc is not mounted or hides the process the error wraps
// *[ErrPeerCredentialsUnavailable], and not os.ErrNotExist.
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

// ExecutablePath tells the path of the program that the process is executing, and
// no more: unlike [PeerProcess.Executable] it opens no file, for which a hostile
// process can make us wait if it serves its own file system. All that is said there
// of the path goes for this one. It is for people, and it fails as Executable does.
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

// readLink refuses the empty path, which no link in /proc leads to.
func readLink(name string) (path string, err error) {
	path, err = os.Readlink(name)
	if err == nil && path == "" {
		return "", malformed("link "+name, path)
	}
	return path, err
}

// pathOf tells the path of an open file, rather than that of the link that led to
// it, which may lead elsewhere by now.
func pathOf(file *os.File) (path string, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return "", err
	}
	var read error
	err = raw.Control(func(fd uintptr) { path, read = readLink("/proc/self/fd/" + strconv.Itoa(int(fd))) })
	return path, errors.Join(err, read)
}

// Cmdline returns the arguments of the process, from its name on; none for a
// process that has none.
//
// They are what the process says of itself: it can write there what it likes, so
// they are for people, and no ground for a decision.
//
// The error wraps [os.ErrNotExist] while the process has no program: at its end,
// and for a moment as it executes another. More than 8 MiB are an error. Otherwise it
// fails as [PeerProcess.Inspect] does: where /proc is not mounted or hides the process
// the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess EACCES
// too. Source: proc_pid_cmdline(5).
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

// parseCmdline reads arguments that each end in a NUL, which a process may have
// overwritten.
func parseCmdline(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}

// checkHasProgram tells a process without arguments from one whose memory is gone.
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
	// Controllers are those of the hierarchy, or its name as in "name=systemd";
	// none for cgroup version 2.
	Controllers []string `json:"controllers,omitempty"`
	// Path begins with "/" at the root of our cgroup namespace, and with "/.."
	// outside of it. It ends in " (deleted)" if the group has been removed.
	Path string `json:"path"`
}

// Cgroup returns the control groups that the process is in, one for each
// hierarchy; with cgroup version 2 alone that is one. Who may move a process
// between groups is the affair of whoever administers or was delegated them: a user
// can choose among the groups below the user's own, and give them any name. So it is
// no ground for a decision that keeps a user out of what another has.
//
// It fails as [PeerProcess.Inspect] does: where /proc is not mounted or hides the
// process the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess
// EACCES too. Source: cgroups(7), /proc/PID/cgroup.
func (p *PeerProcess) Cgroup() ([]Cgroup, error) {
	text, err := p.readProc("/cgroup")
	if err != nil {
		return nil, err
	}
	return parseCgroups(text)
}

// parseCgroups reads lines of HIERARCHY:CONTROLLERS:PATH. The kernel lets no
// newline into a path.
func parseCgroups(text string) ([]Cgroup, error) {
	groups := []Cgroup{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			return nil, malformed("cgroup", line)
		}
		hierarchy, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, malformed("cgroup", line)
		}
		group := Cgroup{Hierarchy: hierarchy, Path: fields[2]}
		if fields[1] != "" {
			group.Controllers = strings.Split(fields[1], ",")
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// StartTime returns when the process was started: when it was forked, not when it
// executed its present program. It is for people. The kernel counts hundredths of a
// second since boot (CLOCK_BOOTTIME, in our time namespace), which are turned into a
// time by the clocks as they are now. So two calls may differ by some hundredths, and
// by more if the time of day was set in between. Pid and start time together are no
// identity, which the handle is, and no ground for a decision.
//
// It fails as [PeerProcess.Inspect] does: where /proc is not mounted or hides the
// process the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess
// EACCES too. If the clock cannot be read, the error wraps the errno.
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

// startTime turns what stat says into a time by both clocks, which are as of now.
func startTime(stat string, sinceBoot time.Duration, now time.Time) (time.Time, error) {
	start, err := parseStart(stat)
	if err != nil {
		return time.Time{}, err
	}
	return now.Add(start - sinceBoot).Round(0), nil
}

// tick is 1/USER_HZ, which is 100 on every port of Go.
const tick = time.Second / 100

// parseStart finds the 22nd field, in ticks since boot. The second one, the name in
// brackets, can hold anything. A process that was started before what our time
// namespace takes for the boot has a negative number of nanoseconds, which the kernel
// takes for an unsigned one and divides (start_time in fs/proc/array.c).
func parseStart(stat string) (sinceBoot time.Duration, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, malformed("stat", stat)
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil || ticks > math.MaxUint64/uint64(tick) {
		return 0, malformed("stat", stat)
	}
	return time.Duration(ticks * uint64(tick)), nil
}

// CurrentCredentials are the ids of a process as of now. They are of another type
// than [PeerCredentials], which are those as of connect time, so that nobody takes
// the one for the other.
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

// CurrentCredentials returns the ids that the process has now. Decide on those as
// of connect time, from [GetPeerCredentials]: a process can drop ids after it
// connected, and by executing a set-user-ID program it can gain some without
// having any more say over them than before. Ids that our user namespace does not
// map are the overflow id, 65534. Each thread can have ids of its own; these are
// those of the first.
//
// The error is *[ErrPeerProcessGone] once the process has been reaped. It does not
// take /proc since Linux 6.13. Before that, and for a process that has no pid here, it
// fails as [PeerProcess.Inspect] does: where /proc is not mounted or hides the process
// the error wraps *[ErrPeerCredentialsUnavailable], and with hidepid=noaccess EACCES
// too.
//
// Source: PIDFD_GET_INFO in fs/pidfs.c; else proc_pid_status(5).
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

// parseStatusIDs finds the lines "Uid:" and "Gid:". The name in the first line
// cannot forge one, since the kernel escapes newlines in it.
func parseStatusIDs(status string) (ids [8]uint32, err error) {
	for i, key := range []string{"Uid:", "Gid:"} {
		line, ok := lineOf(status, key)
		fields := strings.Fields(line)
		if !ok || len(fields) != 4 {
			return [8]uint32{}, malformed("status", key+line)
		}
		for n, field := range fields {
			id, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return [8]uint32{}, malformed("status", key+line)
			}
			ids[4*i+n] = uint32(id)
		}
	}
	return ids, nil
}

// lineOf returns what follows key at the beginning of a line.
func lineOf(text, key string) (rest string, ok bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return rest, true
		}
	}
	return "", false
}

// procPID returns the pid that the process has in /proc, which is the pid
// namespace of whoever mounted that, or 0 if it has none there.
func (p *PeerProcess) procPID() (pid int32, err error) {
	const file = "/proc/self/fdinfo/"
	var text string
	err = p.control("read "+file, func(pidfd int) (err error) {
		text, err = readAtMost(file+strconv.Itoa(pidfd), maxProcFile)
		return err
	})
	switch {
	case errors.Is(err, os.ErrNotExist): // of a descriptor that is open
		if err := p.Signal(nil); isPeerProcessGone(err) {
			return 0, err
		}
		return 0, unavailable(failedInspection, "/proc is not mounted, or is that of a pid namespace that we are not in: mount that of ours")
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

// parseFdinfoPID finds the line "Pid:", which is -1 once the process has been
// reaped and 0 if it is not visible.
func parseFdinfoPID(fdinfo string) (int32, error) {
	line, ok := lineOf(fdinfo, "Pid:")
	pid, err := strconv.ParseInt(strings.TrimSpace(line), 10, 32)
	if !ok || err != nil || pid < -1 {
		return 0, malformed("fdinfo", fdinfo)
	}
	return int32(pid), nil
}

// checkOwnProc refuses a /proc that shows the pids of another namespace than ours:
// there we have more than one pid, or none.
func checkOwnProc() error {
	text, err := readAtMost("/proc/self/status", maxProcFile)
	if err != nil {
		return fmt.Errorf("peer process: %w", err)
	}
	if line, ok := lineOf(text, "NSpid:"); !ok || len(strings.Fields(line)) != 1 {
		return unavailable(failedInspection, "this kernel tells a pid only through /proc, and this /proc is that of another pid namespace")
	}
	return nil
}

// maxProcFile bounds what is read of a process: one can have the kernel show any
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

func malformed(file, text string) error {
	return fmt.Errorf("peer process: %s in /proc is not as proc(5) says: %q", file, text)
}
