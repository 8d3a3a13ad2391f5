package guard

import (
	"os"

	"golang.org/x/sys/unix"

	"example.com/peercred"
)

// checkPackets asks who is at the other end of a pair of packet sockets of our own. A
// kernel that cannot tell the ends apart, as gVisor, is better noticed when a server
// starts than by its refusing everybody.
func checkPackets() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	end := os.NewFile(uintptr(pair[0]), "socketpair")
	defer end.Close()
	_, err = peercred.GetPeerCredentialsOf(end)
	return err
}
