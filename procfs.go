package peercred

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// This file holds the parsers for files in /proc. They open nothing.

// parseCmdline parses arguments that each end in a NUL. A process may have overwritten
// the NULs.
func parseCmdline(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}

// parseCgroups parses lines of the form HIERARCHY:CONTROLLERS:PATH. The kernel does not
// allow a newline in a path.
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

// startTime converts the start in stat into a time. Both clocks are as of now.
func startTime(stat string, sinceBoot time.Duration, now time.Time) (time.Time, error) {
	start, err := parseStart(stat)
	if err != nil {
		return time.Time{}, err
	}
	return now.Add(start - sinceBoot).Round(0), nil
}

// tick is 1/USER_HZ, which is 100 on every port of Go.
const tick = time.Second / 100

// parseStart parses the 22nd field, in ticks since boot. The second field, the name in
// brackets, can hold any text. If a process was started before the boot of our time
// namespace, its start is a negative number of nanoseconds. The kernel divides that as an
// unsigned number (start_time in fs/proc/array.c).
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

// parseStatusIDs parses the lines "Uid:" and "Gid:". The name in the first line cannot
// forge such a line, because the kernel escapes newlines in it.
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

// lineOf returns the rest of the first line that begins with key.
func lineOf(text, key string) (rest string, ok bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return rest, true
		}
	}
	return "", false
}

// parseFdinfoPID parses the line "Pid:". It is -1 once the process has been reaped, and 0
// if the process is not visible.
func parseFdinfoPID(fdinfo string) (int32, error) {
	line, ok := lineOf(fdinfo, "Pid:")
	pid, err := strconv.ParseInt(strings.TrimSpace(line), 10, 32)
	if !ok || err != nil || pid < -1 {
		return 0, malformed("fdinfo", fdinfo)
	}
	return int32(pid), nil
}

func malformed(file, text string) error {
	return fmt.Errorf("peer process: malformed %s in /proc: %q", file, text)
}
