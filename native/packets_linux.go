package native

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const errPacketEnds = unsupportedError("the kernel names each end of a SOCK_SEQPACKET connection as its own peer (gVisor does); SOCK_STREAM is told rightly")

// packetEndsAreRight remembers that the kernel passed checkPacketEnds.
var packetEndsAreRight atomic.Bool

// checkPacketEnds refuses a kernel that confuses the ends of a connection of
// SOCK_SEQPACKET, so that Credentials of each end are its own and not its peer's. One
// that passed is not asked again.
func checkPacketEnds() error {
	if packetEndsAreRight.Load() {
		return nil
	}
	switch confused, err := confusesPacketEnds(); {
	case err != nil:
		return err
	case confused:
		return errPacketEnds
	}
	packetEndsAreRight.Store(true)
	return nil
}

// confusesPacketEnds asks a socket whose connection was refused: Linux names nobody as
// its peer, and gVisor itself (release 20260905, whose connectioned.go exchanges the
// credentials of a SOCK_STREAM alone). The other socket has an abstract name, which the
// kernel chooses.
func confusesPacketEnds() (bool, error) {
	deaf, err := packetSocket()
	if err != nil {
		return false, err
	}
	defer unix.Close(deaf)
	refused, err := packetSocket()
	if err != nil {
		return false, err
	}
	defer unix.Close(refused)
	if err := unix.Bind(deaf, &unix.SockaddrUnix{}); err != nil {
		return false, err
	}
	name, err := unix.Getsockname(deaf)
	if err != nil {
		return false, err
	}
	switch err := unix.Connect(refused, name); {
	case err == nil: // it does not listen
		return false, unix.EPROTO
	case !errors.Is(err, unix.ECONNREFUSED):
		return false, err
	}
	return namesAPeer(refused)
}

func packetSocket() (fd int, err error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
}
