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
	return int(min(uint64(limit.Cur), math.MaxInt32))
}

const usualDescriptorLimit = 1024
