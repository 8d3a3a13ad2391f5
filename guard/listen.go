package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Config says how a [Listener] listens, and which peers it admits.
type Config struct {
	// Policy decides who is let in. It is required: the zero Policy is an error, and
	// [Nobody] refuses all.
	Policy Policy
	// Mode is the permission bits of the socket file. 0 means 0600. A peer needs the
	// write permission to connect: 0600 lets our own user connect, 0660 a group too, and
	// 0666 everybody, so that the Policy alone decides.
	Mode fs.FileMode
	// Owner and Group own the socket file, by name or by decimal number. A number with
	// needless zeros, such as "010", is an error. Empty means our effective user and group.
	// To give the file to another user takes CAP_CHOWN; to give it to a group that we are in
	// takes no privilege. An Owner can change the mode of the file. In a sticky directory,
	// and in one of its own, it can replace the file too.
	Owner, Group string
	// AllowSharedDirectory allows a directory for the socket file that belongs to another
	// user, or that its group or everybody can write and that is not sticky. The
	// directories that lead to it must still be safe.
	//
	// Those users can remove and replace the socket file, as they can any file there, and so
	// serve our clients in our place; clients can use [Dial] to notice. They cannot have
	// us change or remove a file of another directory, or change the mode or owner of another
	// file. It requires Linux, and mostly the kernel's unix_diag, which tells that a file
	// is the socket's: without it, the file can only have the mode 0600 and our own group.
	//
	// In a user namespace it also allows directories and links that belong to users whom
	// the namespace does not map. Those users can lead the path elsewhere.
	AllowSharedDirectory bool

	// MaxConnsPerUID and MaxConns are how many accepted connections can be open at a
	// time, of one user and in all, until [Conn.Close]. A peer that is one too many is
	// closed, counted as [Counts].Limited and reported to OnDeny; others are served. So one
	// user who is let in cannot take all descriptors. 0 is the default: for MaxConns half
	// of the descriptors that the process may have (RLIMIT_NOFILE, as of when it begins to
	// listen), or a quarter if each connection takes a second one for CloseOnExit or
	// AskProcess; for MaxConnsPerUID half of MaxConns, or of its default if MaxConns is
	// negative. A negative number is no limit.
	//
	// A person who has many uids, as by /etc/subuid, has as many shares: MaxConns protects
	// the process from them, and not the other users. In a user namespace all users that it
	// does not map share one uid.
	MaxConnsPerUID, MaxConns int
	// CloseOnExit closes a connection when its peer's process ends, also if the process
	// has passed it on to another. A peer whose process ended before it was asked about is
	// denied. It takes a descriptor for each connection, and Linux 6.5: elsewhere it is an
	// error.
	CloseOnExit bool

	// Ask names the facts to ask for at once, beside the credentials, about each peer that
	// is let in.
	Ask Facts
	// OnDeny is told of every peer that was not let in, one after the other, as its
	// connection is closed. It runs in a goroutine of its own, so that a slow
	// one does not keep peers waiting; what it has not got round to is kept, up to
	// 1024 refusals, and further ones are counted as unreported. If it panics, that is
	// logged to [slog.Default], and the next refusal is reported. [LogDenied] makes one
	// that logs all.
	//
	// If it is nil, refusals are logged to slog.Default, five in a second at most; how many
	// were left out is logged with the next one, or by Close. A func that does nothing
	// keeps silence.
	OnDeny func(*Denied)
	// ReceiveDescriptors lets peers send descriptors (SCM_RIGHTS). If it is false, Linux
	// 6.16 and newer refuses them, with EPERM for the sender, on all connections that are
	// made from then on.
	//
	// Descriptors that nobody receives can make it take as long as their sender likes to
	// close a connection. So the connections of refused peers are closed aside, up to 512
	// at a time, while others are accepted, and on Linux a close that waits for a socket to
	// linger is interrupted.
	ReceiveDescriptors bool
}

// Listen listens on the Unix socket at address, and returns a listener that accepts
// only peers that config.Policy lets in. The network is "unix" or "unixpacket".
//
// The socket file is made at address, for its owner alone. It gets its group, its mode and
// its owner before the socket listens, and until then nobody can connect. On Linux the
// file never has more permissions than Mode, whatever the umask is; elsewhere it may have
// until the socket listens. It has no access control list of POSIX.1e, even if its
// directory has a default one; those of NFSv4, ZFS and other systems are left alone. The
// umask is not changed.
//
// A stale socket file, one that no socket is bound to any more, is replaced. That takes
// the permissions to write and to remove it, which a server without privileges lacks if
// Config.Owner is another user. Any other file stays, and the error wraps
// [syscall.EADDRINUSE]. Close removes the socket file,
// unless another file has taken its place. No other machine may have the directory
// mounted: the socket of another machine's server looks stale.
//
// The directory, and those that lead to it, must be safe: nobody but us and root can
// rename what leads to the socket. See [Config].AllowSharedDirectory.
//
// The path has at most 107 bytes (103 on some systems).
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
//     connects, or not for this network, or has no handle on a process for CloseOnExit.
//   - [net.UnknownNetworkError] for any other network.
//   - [syscall.EADDRINUSE] for what is at the address already.
//   - [syscall.EINVAL] without a Policy, for a Mode with more than permission bits, for a
//     Mode, Owner or Group with a name in the abstract namespace, and for an address with a
//     NUL byte.
//   - [os/user.UnknownUserError] or [os/user.UnknownGroupError] for Owner and Group.
//   - What wraps the error of ctx, if that ended first.
//   - A reason in words for an address that is empty or too long, and for a directory that
//     is not safe.
//   - Otherwise the errno of the call that failed.
//
// It is safe for concurrent use.
func Listen(ctx context.Context, network, address string, config Config) (*Listener, error) {
	l, err := listenGuarded(ctx, network, address, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: err}
	}
	return l, nil
}

func listenGuarded(ctx context.Context, network, address string, config Config) (*Listener, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	inner, err := listen(ctx, network, address, config)
	if err != nil {
		return nil, err
	}
	l, err := newListener(inner, config)
	if err != nil {
		inner.Close()
		return nil, err
	}
	l.quick = descriptorsAreRefused(l.socket) // and were when it began to listen
	return l, nil
}

func listen(ctx context.Context, network, address string, config Config) (net.Listener, error) {
	switch {
	case !isStream(network):
		return nil, unknownNetwork(network)
	case address == "", address == "@":
		return nil, errors.New("the address is empty")
	case strings.ContainsRune(address, 0): // which would end a path, or begin an abstract name
		return nil, fmt.Errorf("the address %q has a NUL byte: %w", address, syscall.EINVAL)
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
		return f, badMode(c.Mode)
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

// badMode explains a mode with more than permission bits. Who writes 660 means 0o660.
func badMode(mode fs.FileMode) error {
	text := strconv.FormatUint(uint64(mode), 10)
	if meant, err := strconv.ParseUint(text, 8, 32); err == nil && meant <= uint64(fs.ModePerm) {
		return fmt.Errorf("the mode %s has more than permission bits: write 0o%[1]s: %w", text, syscall.EINVAL)
	}
	return fmt.Errorf("the mode %O has more than permission bits: use a number such as 0o660: %w", uint32(mode), syscall.EINVAL)
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
