//go:build freebsd || dragonfly

package native

import "unsafe"

// From sys/un.h; x/sys has neither for DragonFly. The C shims take them from
// the header and assert these values.
const (
	solLocal      = 0
	localPeercred = 1
)

// askXucred is the question that FreeBSD and DragonFly share. Its answer is yet
// to be decoded.
func askXucred(fd int) (cred freebsdXucred, length uint32, err error) {
	if err := checkUnixFamily(fd); err != nil {
		return cred, 0, err
	}
	cred = poisonedFreeBSDXucred()
	length, err = getsockopt(fd, solLocal, localPeercred, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	return cred, length, err
}

// peerXucred returns the part that these systems share with Darwin, decoded.
func peerXucred(fd int) (*xucred, error) {
	cred, length, err := askXucred(fd)
	if err != nil {
		return nil, err
	}
	if _, _, err := cred.decodeIDs(length); err != nil {
		return nil, err
	}
	return &cred.xucred, nil
}
