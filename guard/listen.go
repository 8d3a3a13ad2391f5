package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"

	"example.com/peercred"
)

// Config is how [Listen] listens.
type Config struct {
	// Policy decides who is let in. The zero Policy lets in nobody.
	Policy Policy
	// Mode has the permission bits of the socket file, 0600 if it is 0. To connect
	// takes the permission to write: so 0600 is for our own user, 0660 for a group
	// too, and 0666 leaves it to the Policy alone.
	Mode fs.FileMode
	// Owner and Group are whose the socket file is, by name or by decimal number, and
	// ours if they are empty. A number with a leading 0 is an error. To give it to another user takes root; to give it to a
	// group that we are in does not.
	Owner, Group string
	// AllowSharedDirectory takes a directory in which others could put another file
	// in the socket's place: if it, or one of those that lead to it, is another user's
	// (but root's), or can be written by its group or by everybody and is not sticky.
	AllowSharedDirectory bool
	Options
}

// Listen listens on the Unix socket at address, and returns a listener that accepts
// only peers that config.Policy lets in. The network is "unix" or "unixpacket".
//
// The socket file has its mode, owner and group from its first instant at address:
// it is made in a directory beside it that nobody else can enter, and moved into
// place when it is right. (Go has one umask for all threads, so changing that would
// change the files of other goroutines.) A socket file that belongs to no socket any
// more is replaced. What belongs to one, if it listens or not, and what is no socket
// is left alone, and the error wraps [syscall.EADDRINUSE]. Close removes the file,
// unless another has taken its place.
//
// It takes a file system with hard links, and one that no other machine has mounted:
// the socket of another machine's server looks like a stale one.
//
// The path has at most 107 bytes (103 on some systems), of which up to 14 go to the
// directory beside it; there its name stays in what getpeername(2) and ss(8) tell.
//
// On Linux an address that begins with "@" is a name in the abstract namespace. Such
// a name has no mode and no owner, everybody in the network namespace can connect,
// and whoever is first has it; so it is for the Policy alone, and Mode, Owner and
// Group are refused with it.
//
// The context ends the wait for another Listen that replaces a socket file in the
// same directory; it does nothing to the listener.
//
// It returns a listener or a *[net.OpError], in which is:
//
//   - *[peercred.ErrPeerCredentialsUnavailable] where the system does not tell who
//     connects, or not for this network.
//   - [net.UnknownNetworkError] for any other network.
//   - [syscall.EADDRINUSE] for what is at the address already.
//   - [syscall.EINVAL] for a Mode with more than permission bits, and for a Mode, Owner or
//     Group with a name in the abstract namespace.
//   - [os/user.UnknownUserError] or [os/user.UnknownGroupError] for Owner and Group.
//   - What wraps the error of ctx, if that ended first.
//   - A reason in words for an address that is empty or too long, and for a directory that
//     AllowSharedDirectory would take.
//   - Otherwise what the system says to the files and the socket.
//
// It is safe for concurrent use.
func Listen(ctx context.Context, network, address string, config Config) (*Listener, error) {
	inner, err := listen(ctx, network, address, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: err}
	}
	l := newListener(inner, config.Policy, config.Options)
	l.local = inner.Addr()
	return l, nil
}

func listen(ctx context.Context, network, address string, config Config) (net.Listener, error) {
	if known := peercred.Support().UID; !known.Available {
		return nil, &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: known.Reason}
	}
	switch {
	case !isStream(network):
		return nil, net.UnknownNetworkError(network)
	case address == "", address == "@":
		return nil, errors.New("the address is empty")
	}
	if network == "unixpacket" {
		if err := checkPackets(); err != nil {
			return nil, err
		}
	}
	if isAbstract(address) {
		return listenAbstract(ctx, network, address, config)
	}
	file, err := config.file()
	if err != nil {
		return nil, err
	}
	return listenAtPath(ctx, network, address, file)
}

// isAbstract tells a name in the abstract namespace from a path.
func isAbstract(address string) bool {
	return strings.HasPrefix(address, "@") && (runtime.GOOS == "linux" || runtime.GOOS == "android")
}

func listenAbstract(ctx context.Context, network, address string, config Config) (net.Listener, error) {
	if config.Mode != 0 || config.Owner != "" || config.Group != "" {
		return nil, fmt.Errorf("a name in the abstract namespace has no mode, owner or group, everybody can connect: %w", syscall.EINVAL)
	}
	listen := net.ListenConfig{Control: socketAttributes{receives: config.ReceiveDescriptors}.control()}
	return listen.Listen(ctx, network, address)
}

// file is what the socket file is to be.
func (c Config) file() (f socketAttributes, err error) {
	if c.Mode&^fs.ModePerm != 0 {
		return f, fmt.Errorf("the mode %v has more than permission bits: %w", c.Mode, syscall.EINVAL)
	}
	f.mode, f.shared, f.receives = c.Mode, c.AllowSharedDirectory, c.ReceiveDescriptors
	if f.mode == 0 {
		f.mode = 0o600
	}
	if f.uid, err = idOf(c.Owner, os.Geteuid(), lookUpUser); err != nil {
		return f, err
	}
	f.gid, err = idOf(c.Group, os.Getegid(), lookUpGroup)
	return f, err
}

// socketAttributes are those of a socket and its file.
type socketAttributes struct {
	mode     fs.FileMode
	uid, gid int
	shared   bool // its directory may be
	receives bool // descriptors
}

// control is for [net.ListenConfig].
func (a socketAttributes) control() func(network, address string, socket syscall.RawConn) error {
	if a.receives {
		return nil
	}
	return refuseDescriptors
}
