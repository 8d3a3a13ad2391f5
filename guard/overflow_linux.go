package guard

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// overflow tells, once, which ids stand for every id that our user namespace does
// not map: user_namespaces(7).
var overflow = sync.OnceValue(func() overflowIDs {
	return overflowIDs{
		uid: overflowID("/proc/self/uid_map", "/proc/sys/kernel/overflowuid"),
		gid: overflowID("/proc/self/gid_map", "/proc/sys/kernel/overflowgid"),
	}
})

// overflowID reads it, or takes the kernel's default for it where it cannot be
// read.
func overflowID(mapFile, overflowFile string) int64 {
	if ids, err := os.ReadFile(mapFile); err == nil && mapsAll(string(ids)) {
		return none
	}
	text, err := os.ReadFile(overflowFile)
	if err != nil {
		return defaultOverflowID
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return defaultOverflowID
	}
	return int64(id)
}

const defaultOverflowID = 65534

// mapsAll reports whether a map, of lines of INSIDE OUTSIDE COUNT, has every id
// that there is. Its ranges do not overlap.
func mapsAll(ids string) bool {
	var sum uint64
	for line := range strings.Lines(ids) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return false
		}
		count, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			return false
		}
		sum += count
	}
	return sum == 1<<32-1 // all but (uid_t)-1
}
