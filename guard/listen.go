// Package guard admits the peers that a local server means to serve, and denies all others.
// It wraps the listener of a Unix socket, asks the kernel who connects, and returns only the
// connections of peers that a [Policy] admits. On Linux it also guards loopback TCP.
//
//	listener, err := guard.Listen(ctx, "unix", path, guard.Config{
//		Policy: guard.CurrentUser(),
//		OnDeny: guard.LogDenied(slog.Default()),
//	})
//	...
//	err = http.Serve(listener, handler)
//
// No request is served before the check, and no error admits a peer. Nobody can connect
// before the socket file has the mode, owner and group that were asked for.
//
// # What decides
//
// A Policy decides on facts that the kernel vouches for: user and group ids, supplementary
// groups and security label, as of connect time. No default admits anybody. A listener
// without a Policy is an error, and an empty list denies every peer. A rule also denies the
// peer if it panics, or if it requires a fact that this system or kernel does not report.
// Every denial is a *[Denied], for the log of the server. The peer sees the connection
// close, or an HTTP status. It does not learn the reason.
//
// The peer is the process that connected. It may have passed the connection on. Facts about
// its process as of now, such as executable and current ids, may differ from those at
// connect time: see package peercred.
//
// # Which function to use
//
// [Listen] makes a socket file and guards it. [NewListener] guards an existing listener.
// [Inherited] guards a socket that systemd hands over. [Admit] guards one connection.
// [Dial] is for clients: it checks the server before the client sends a secret.
//
// With [ConnContext], [FromContext] and [Require] an HTTP server knows who sent each
// request, and has a rule for each route. A Listener closes the connections of denied
// peers. To answer such clients with the status 403 instead, admit more peers at the
// Listener, and put Require around all routes.
//
// For gRPC there is example.com/peercred/grpcpeer, a separate module.
//
// # Who sends
//
// [ListenPacket] is for datagram servers, such as those of syslog(3) and sd_notify(3). It
// returns the datagrams of admitted senders, on Linux.
//
// [Config].SameSender is for connections. It makes a read fail if the bytes come from another
// process or user than the peer that connected.
//
// # Loopback TCP
//
// Use a Unix socket if you can. For programs that can only use TCP, such as browsers, Listen
// and Dial also take a loopback address, on Linux since 5.14. Every user of the machine can
// connect, and the kernel reports only the uid: see [peercred.GetLoopbackPeerUID].
//
//	listener, err := guard.Listen(ctx, "tcp", "127.0.0.1:8080", guard.Config{Policy: guard.CurrentUser()})
//
// The policies [UIDs], [Users] and [CurrentUser] decide on it, and so can a [Func] that calls
// [Peer.UID]. [GIDs], [Groups], [GroupNames], [PIDs] and [Labels] cannot decide, and admit
// nobody. Limits, HTTP and TLS work as on a Unix socket.
//
// The uid says which user connects, and not which program:
//
//   - A browser is a process of its user, and web pages make it send requests. So check the
//     Host header against DNS rebinding, and the origin: see the example of Listen, and
//     [net/http.CrossOriginProtection].
//   - A proxy is the peer of the connections that it makes, such as docker-proxy, ssh -L,
//     kubectl port-forward and slirp4netns. A server that admits the proxy's user also
//     admits all users of the proxy.
//   - A service that systemd or inetd starts with a TCP socket can connect that socket to this
//     server. The uid is then that of who made the socket: root.
//   - In another network namespace 127.0.0.1 is another machine. Processes there cannot
//     connect, except through a proxy.
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

	"example.com/peercred"
)

// Config says how a [Listener] listens, and which peers it admits.
type Config struct {
	// Policy decides which peers are admitted. It is required: the zero Policy is an error.
	// [Nobody] denies every peer.
	Policy Policy
	// Mode is the permission bits of the socket file. 0 means 0600. A peer needs write
	// permission to connect. With 0600 our own user can connect, with 0660 also the file's
	// group. With 0666 everybody can connect, and the Policy alone decides.
	Mode fs.FileMode
	// Owner and Group own the socket file. Each is a name or a decimal number. A number
	// with needless zeros, such as "010", is an error. Empty means our effective user or
	// group. Giving the file to another user requires CAP_CHOWN. Giving it to one of our
	// own groups requires no privilege. The Owner can change the mode of the file. The
	// Owner can also replace the file if the directory is sticky or belongs to the Owner.
	Owner, Group string
	// AllowSharedDirectory allows a socket directory that other users can change. Such a
	// directory belongs to another user, or is not sticky and can be written by its group
	// or everybody. The directories that lead to it must still be safe.
	//
	// Those users can remove and replace the socket file, like any file in the directory,
	// and so serve our clients in our place. Clients can use [Dial] to notice. Those users
	// cannot make us change or remove a file in another directory, or change the mode or
	// owner of another file.
	//
	// It requires Linux, whose unix_diag reports which file a socket is bound to. Without
	// unix_diag the file can only have the mode 0600 and our own group.
	//
	// In a user namespace it also allows directories and links that belong to users that
	// the namespace does not map. Those users can make the path lead elsewhere.
	AllowSharedDirectory bool

	// MaxConnsPerUID and MaxConns limit how many accepted connections can be open at a
	// time: of one user, and in all. A connection counts until [Conn.Close]. If a peer is
	// over a limit, its connection is closed, counted as [Counts].Limited and reported to
	// OnDeny. So one admitted user cannot take all descriptors.
	//
	// 0 means the default. The default of MaxConns is half of the descriptors that the
	// process may have (RLIMIT_NOFILE, as of when it begins to listen). It is a quarter if
	// CloseOnExit or PrefetchProcess takes a second descriptor for each connection. The
	// default of MaxConnsPerUID is half of MaxConns. If MaxConns is negative, it is half of
	// the default of MaxConns. A negative number means no limit.
	//
	// So a server for one user accepts only half of MaxConns connections, unless
	// MaxConnsPerUID is set too. Each Listener of a process has its own limits. Set them if
	// there are several Listeners.
	//
	// A person with many uids, as from /etc/subuid, has the limit of a user for each uid.
	// MaxConns then protects the process, but not the other users. In a user namespace all
	// users that it does not map share one uid.
	MaxConnsPerUID, MaxConns int
	// CloseOnExit closes a connection when its peer's process ends, even if the process
	// passed the connection on to another. A peer is denied if its process ended before we
	// asked about it. CloseOnExit takes a descriptor for each connection. It requires Linux
	// 6.5, and is an error elsewhere.
	CloseOnExit bool

	// SameSender makes a read fail if the bytes come from another process, or user, than the
	// peer that connected. It requires Linux, and is an error on TCP.
	SameSender SameSender

	// Prefetch names the facts to ask for as soon as a peer is admitted, besides its
	// credentials.
	Prefetch Prefetch
	// OnDeny is called for each denied peer, one at a time, as its connection is closed. It
	// runs in its own goroutine, so a slow OnDeny does not delay peers. Up to 1024 denials
	// wait for it, and further ones are counted as [Counts].Unreported. If OnDeny panics,
	// the panic is logged to [slog.Default], and the next denial is reported. [LogDenied]
	// returns an OnDeny that logs every denial.
	//
	// If OnDeny is nil, at most five denials a second are logged to slog.Default. The
	// number of denials left out is logged with the next one, or by Close. To log nothing,
	// use a func that does nothing.
	OnDeny func(*Denied)
	// ReceiveDescriptors lets peers send descriptors (SCM_RIGHTS). If it is false, Linux
	// 6.16 and newer refuse them on all connections made from then on. The sender gets
	// EPERM.
	//
	// If nobody receives a descriptor, its sender can make the close of the connection take
	// very long. So the connections of denied peers are closed in the background, up to 512
	// at a time (64 on 32-bit systems), while others are accepted. On Linux a close that
	// waits for a socket to linger is interrupted by SIGURG, which the process must not
	// ignore. Some other closes cannot be interrupted, such as that of many packet sockets.
	// If 512 such closes are running, each further denied peer that sent descriptors delays
	// Accept by up to 10 ms. So use Listen on Linux 6.16 or newer. It refuses descriptors
	// from the start, and a listener of package net does not.
	ReceiveDescriptors bool
	// AllowLoopbackTCP lets [NewListener] and [Inherited] guard a TCP listener whose address
	// is loopback. The kernel then reports the uid of a peer and nothing else: see the
	// package documentation. Listen ignores it, because its network says whether to use TCP.
	AllowLoopbackTCP bool
}

// Listen listens on the Unix socket at address. The listener accepts only peers that
// config.Policy admits. The network is "unix" or "unixpacket", or "tcp", "tcp4" or "tcp6"
// for loopback TCP.
//
// Listen makes the socket file at address. The file gets its group, mode and owner before
// the socket listens. Until then nobody can connect. On Linux the file starts with
// permissions for its owner alone, and never has more than Mode, whatever the umask is. On
// other systems it may have more until the socket listens. The file has no POSIX.1e access
// control list, even if its directory has a default one. Access control lists of NFSv4, ZFS
// and other systems are left alone. Listen does not change the umask.
//
// Listen replaces a stale socket file: one that no socket is bound to any more. That
// requires permission to write and to remove the file. A server without privileges lacks it
// if Config.Owner is another user. Any other file stays, and the error wraps
// [syscall.EADDRINUSE]. Close removes the socket file, unless another file has taken its
// place. Other machines must not mount the directory, and overlays must not show it at
// another path. The socket of a server that listens there looks stale here.
//
// The directory, and the directories that lead to it, must be safe: only we and root can
// rename what leads to the socket. See [Config].AllowSharedDirectory.
//
// The path has at most 107 bytes (103 on some systems).
//
// On Linux an address that begins with "@" is a name in the abstract namespace. Such a name
// has no mode and no owner. Everybody in the network namespace can connect. The first
// process that binds the name has it. So the Policy alone decides, and a Mode, Owner or
// Group is an error.
//
// On TCP the address is a host and a port, such as "127.0.0.1:0", "[::1]:8080" or
// "localhost:8080". The host must be a loopback address, or a name all of whose addresses
// are loopback. Listen checks that before it listens on one of them, and prefers IPv4. Another
// user can listen on the same port of another, such as ::1, which a client that is given the
// name may try first. So give clients the address that [Listener.Addr] returns. Every user
// of the machine can connect, so the Policy alone decides, on the uid. A Mode, Owner,
// Group, AllowSharedDirectory, CloseOnExit, Prefetch or ReceiveDescriptors is an error.
// Multipath TCP is off. A client that closes its end before it is accepted is denied.
//
// The context ends the wait for another Listen that replaces a socket file in the same
// directory, and the lookup of a host. It does nothing to the listener.
//
// Listen returns a listener, or a *[net.OpError] with:
//
//   - *[peercred.ErrPeerCredentialsUnavailable] if the system does not report who connects,
//     or does not report it for this network, or has no handle on a process for CloseOnExit.
//   - [net.UnknownNetworkError] for any other network.
//   - [syscall.EADDRINUSE] if something else is at the address already.
//   - [syscall.EINVAL] if config has no Policy, if Mode has more than permission bits, if a
//     name in the abstract namespace comes with a Mode, Owner or Group, if the address has a
//     NUL byte, if a field of config has no meaning on TCP, and if a TCP address is not
//     loopback.
//   - *[net.DNSError] if the host of a TCP address is unknown.
//   - [os/user.UnknownUserError] or [os/user.UnknownGroupError] if Owner or Group is
//     unknown.
//   - The error of ctx, wrapped, if ctx ended first.
//   - A reason in words if the address is empty or too long, and if a directory is not
//     safe.
//   - Otherwise the errno of the call that failed.
//
// It is safe for concurrent use.
func Listen(ctx context.Context, network, address string, config Config) (*Listener, error) {
	l, err := listenGuarded(ctx, network, address, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: givenAddress(network, address), Err: err}
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
	l.quick.Store(l.refuses) // descriptors were also refused when it began to listen
	if isTCP(network) {
		l.isOnTCP()
	}
	return l, nil
}

func listen(ctx context.Context, network, address string, config Config) (net.Listener, error) {
	if isTCP(network) {
		return listenTCP(ctx, network, address, config)
	}
	if err := config.checkUnix(); err != nil {
		return nil, err
	}
	if !isStream(network) {
		return nil, unknownNetwork(network)
	}
	if err := checkAddress(address); err != nil {
		return nil, err
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

// isAbstract reports whether address is a name in the abstract namespace, not a path.
func isAbstract(address string) bool { return strings.HasPrefix(address, "@") && isLinux }

const isLinux = runtime.GOOS == "linux" || runtime.GOOS == "android"

func listenAbstract(ctx context.Context, network, address string, config Config) (net.Listener, error) {
	if err := config.checkAbstract(); err != nil {
		return nil, err
	}
	listen := net.ListenConfig{Control: config.attributes().control}
	inner, err := listen.Listen(ctx, network, address)
	return inner, explainAbstract(err)
}

func (c Config) checkAbstract() error {
	if c.Mode != 0 || c.Owner != "" || c.Group != "" {
		return fmt.Errorf("a name in the abstract namespace has no mode, owner or group, and everybody can connect: leave out Mode, Owner and Group: %w", syscall.EINVAL)
	}
	return nil
}

func explainAbstract(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // Listen adds the rest of it
	}
	if isInUse(err) {
		return fmt.Errorf("%w: another process has this name: stop it, or use another name", err)
	}
	return err
}

// file returns the attributes that the socket file gets.
func (c Config) file() (f socketAttributes, err error) {
	if c.Mode&^fs.ModePerm != 0 {
		return f, badMode(c.Mode)
	}
	f = c.attributes()
	if f.mode == 0 {
		f.mode = 0o600
	}
	if f.uid, err = idOf(c.Owner, os.Geteuid(), lookUpUser); err != nil {
		return f, fmt.Errorf("Config.Owner: %w", err)
	}
	if f.gid, err = idOf(c.Group, os.Getegid(), lookUpGroup); err != nil {
		return f, fmt.Errorf("Config.Group: %w", err)
	}
	return f, nil
}

// badMode explains a mode with more than permission bits. A caller who writes 660 means
// 0o660.
func badMode(mode fs.FileMode) error {
	text := strconv.FormatUint(uint64(mode), 10)
	if meant, err := strconv.ParseUint(text, 8, 32); err == nil && meant <= uint64(fs.ModePerm) {
		return fmt.Errorf("the mode %s has more than permission bits: write 0o%[1]s: %w", text, syscall.EINVAL)
	}
	return fmt.Errorf("the mode %O has more than permission bits: use a number such as 0o660: %w", uint32(mode), syscall.EINVAL)
}

// attributes returns those that require no look-up.
func (c Config) attributes() socketAttributes {
	a := socketAttributes{mode: c.Mode, shared: c.AllowSharedDirectory, receives: c.ReceiveDescriptors}
	if c.SameSender != AnySender {
		a.senders = &peercred.ReceiverConfig{}
	}
	return a
}

// socketAttributes are the attributes of a socket and its file.
type socketAttributes struct {
	mode     fs.FileMode
	uid, gid int
	shared   bool                     // allows a shared directory
	receives bool                     // allows peers to send descriptors
	senders  *peercred.ReceiverConfig // asks who sends messages, unless it is nil
}

// control is the Control function of a [net.ListenConfig].
func (a socketAttributes) control(network, address string, socket syscall.RawConn) error {
	if !a.receives {
		if err := refuseDescriptors(network, address, socket); err != nil {
			return err
		}
	}
	if a.senders != nil {
		return a.senders.Prepare(network, address, socket)
	}
	return nil
}
