//go:build unix

package guard

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptorLimit returns how many descriptors this process may have (RLIMIT_NOFILE), or
// the usual 1024 if the system does not tell.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return usualDescriptorLimit
	}
	return inInt(limit.Cur)
}

// inInt returns n, or the largest int32 if n is larger, as the value for no limit is. The
// type differs on FreeBSD.
func inInt[T int64 | uint64](n T) int { return int(min(n, math.MaxInt32)) }

const usualDescriptorLimit = 1024
