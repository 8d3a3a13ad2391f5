//go:build darwin || freebsd || dragonfly

package native

// GroupsCall names the kernel's call behind [Groups].
const GroupsCall = Call

// Groups returns the supplementary groups of the process at the other end of the
// Unix socket fd, captured with its [Credentials] and in the kernel's order; not
// nil when there are none. The kernel tells 16 groups at most, of which the first
// is the effective gid and left out here: of a process with more than 15
// supplementary groups the rest is missing.
//
// The errors are those of Credentials.
//
// Source: unix(4), cru2x in kern/kern_prot.c and its like.
func Groups(fd int) ([]uint32, error) {
	cred, err := peerXucred(fd)
	if err != nil {
		return nil, err
	}
	return cred.supplementaryGroups()
}
