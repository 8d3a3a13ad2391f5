//go:build !unix

package guard

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"syscall"
)

// These systems do not report who connects. So no listener is made, and nothing here is used.

// maxPath allows any length, because the limits of these systems are not known.
const maxPath = math.MaxInt - 1

// listenAtPath and packetsAtPath are never called: these systems do not report who connects.
func listenAtPath(context.Context, string, string, socketAttributes) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

func packetsAtPath(context.Context, string, socketAttributes) (*packetFile, error) {
	return nil, errors.ErrUnsupported
}

type packetFile struct{ *net.UnixConn }

func descriptorsIn([]byte) []*os.File { return nil }

func duplicate(syscall.Conn) (int, error) { return -1, errors.ErrUnsupported }

func setCloseOnExec(int) error { return errors.ErrUnsupported }

func checkListens(*os.File) error { return errors.ErrUnsupported }

func descriptorLimit() int { return 1024 }

func isShortage(error) bool { return false }

func isInUse(error) bool { return false }

func isNotAccepted(error) bool { return false }

// refuseDescriptors does nothing: only Linux can refuse descriptors.
func refuseDescriptors(string, string, syscall.RawConn) error { return nil }

func descriptorsAreRefused(syscall.Conn) bool { return false }

func hasNoDescriptors(net.Conn) bool { return false }

// checkPackets does nothing: only emulators of Linux confuse the ends of packet sockets.
func checkPackets() error { return nil }

// closeLast calls end and returns its result. A way to end a close that a peer makes slow is
// known only for Linux.
func closeLast(_ syscall.Conn, end func() error) error { return end() }

func (c *Conn) read(b []byte) (int, error) { return c.Conn.Read(b) }

// watch is never used: [Config.check] refuses CloseOnExit on systems without a handle on a
// process.
type watch struct{}

func newWatch() (*watch, error) { return nil, errors.ErrUnsupported }

func (*watch) add(*Conn) error { return errors.ErrUnsupported }

func (*watch) remove(*Conn) {}

func (*watch) close() {}
