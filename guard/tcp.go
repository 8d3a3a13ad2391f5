package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"example.com/peercred"
)

// LoopbackPeer is what is known about the peer of a TCP connection over loopback.
type LoopbackPeer struct {
	// Address is the peer's address and port.
	Address netip.AddrPort
	// UID is the peer's user: see [peercred.GetLoopbackPeerUID]. It is nil if the kernel
	// did not report it.
	UID *uint32
}

// String returns the peer for logs, as in "uid=1000 address=127.0.0.1:43210". An unknown uid
// is left out.
func (p *LoopbackPeer) String() string {
	if p.UID == nil {
		return fmt.Sprintf("address=%v", p.Address)
	}
	return fmt.Sprintf("uid=%d address=%v", *p.UID, p.Address)
}

// LogValue returns a slog group of uid and address. An unknown uid is left out.
func (p *LoopbackPeer) LogValue() slog.Value {
	address := slog.String("address", p.Address.String())
	if p.UID == nil {
		return slog.GroupValue(address)
	}
	return slog.GroupValue(slog.Uint64("uid", uint64(*p.UID)), address)
}

// notOnTCP is the error for a fact that only a Unix socket reports.
type notOnTCP string

func (fact notOnTCP) Error() string {
	return "a TCP connection does not report the " + string(fact)
}

func (notOnTCP) Is(target error) bool { return target == errors.ErrUnsupported }

// admitTCP is admit for a TCP connection.
func admitTCP(conn net.Conn, policy Policy) (*Conn, *Denied) {
	return admitByUID(conn, policy, peercred.GetLoopbackPeerUID)
}

func admitByUID(conn net.Conn, policy Policy, ask func(net.Conn) (uint32, error)) (*Conn, *Denied) {
	address := remoteAddress(conn)
	c, denied := admitAs(conn, policy, func(c *Conn) (err error) {
		c.address = address
		c.uid, err = ask(conn)
		return err
	})
	if denied != nil && denied.Loopback == nil && denied.Credentials == nil {
		denied.Loopback = &LoopbackPeer{Address: address}
	}
	return c, denied
}

// remoteAddress returns the zero AddrPort if conn does not name one, or is of a foreign type
// that panics.
func remoteAddress(conn net.Conn) (address netip.AddrPort) {
	defer func() { _ = recover() }()
	address, _ = netip.ParseAddrPort(conn.RemoteAddr().String())
	return address
}

func isTCP(network string) bool {
	return network == "tcp" || network == "tcp4" || network == "tcp6"
}

// givenAddress is an address as the caller gave it, for a [net.OpError].
func givenAddress(network, address string) net.Addr {
	if isTCP(network) {
		return unresolved{network, address}
	}
	return &net.UnixAddr{Name: address, Net: network}
}

type unresolved struct{ network, address string }

func (u unresolved) Network() string { return u.network }
func (u unresolved) String() string  { return u.address }

// checkTCP refuses a config that a TCP listener cannot fulfil, and a system that does not
// report the uid of its peers.
func (c Config) checkTCP() error {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"Mode", c.Mode != 0},
		{"Owner", c.Owner != ""},
		{"Group", c.Group != ""},
		{"AllowSharedDirectory", c.AllowSharedDirectory},
		{"Prefetch", c.Prefetch != 0},
		{"ReceiveDescriptors", c.ReceiveDescriptors},
		{"SameSender", c.SameSender != AnySender},
	} {
		if field.set {
			return fmt.Errorf("the field %s of the Config has no meaning on TCP: leave it out, or listen on a Unix socket: %w", field.name, syscall.EINVAL)
		}
	}
	if c.CloseOnExit {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: "CloseOnExit requires a handle on the peer's process, and " + notOnTCP("process").Error()}
	}
	if support := peercred.Support().LoopbackUID; !support.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: support.Reason}
	}
	return probeTCP()
}

// probeTCP asks for the peer of a connection of our own. Some kernels, sandboxes and emulators
// do not report it. A server then gets an error at start instead of denying every peer. If a
// firewall drops the connection, nothing was found out.
func probeTCP() error {
	listener, err := withoutMultipath().Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil // there may be IPv6 alone, and then nothing was found out
	}
	defer listener.Close()
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), longestProbe)
	if err != nil {
		return nil
	}
	defer conn.Close()
	if _, err := peercred.GetLoopbackPeerUID(conn); !isNotAccepted(err) {
		return err
	}
	return nil
}

// longestProbe is long for a connection to ourselves.
const longestProbe = time.Second

func withoutMultipath() *net.ListenConfig {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return &config
}

func listenTCP(ctx context.Context, network, address string, config Config) (net.Listener, error) {
	if err := config.checkTCP(); err != nil {
		return nil, err
	}
	addresses, err := loopbackAddresses(ctx, network, address)
	if err != nil {
		return nil, err
	}
	inner, err := withoutMultipath().Listen(ctx, network, addresses[0].String())
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // Listen adds the rest of it
	}
	return inner, err
}

// isOnTCP is called before the listener accepts.
func (l *Listener) isOnTCP() {
	l.identify = admitTCP
	l.quick.Store(true) // nobody can send descriptors
}

// checkTCPListener refuses an existing listener that is not on loopback alone.
func (c Config) checkTCPListener(listener net.Listener) error {
	address := listener.Addr()
	if tcp, ok := address.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return notLoopback(fmt.Sprintf("the listener's address %v", address))
	}
	return c.checkTCP()
}

func notLoopback(what string) error {
	return fmt.Errorf("%s is not a loopback address, and the kernel reports the uid of loopback peers alone: use 127.0.0.1, [::1] or localhost: %w", what, syscall.EINVAL)
}

// loopbackAddresses returns the addresses of a host and port, IPv4 first, as package net
// chooses. It returns an error unless all addresses of the host are loopback. The caller
// must use the addresses and not the name, which can have others a moment later.
func loopbackAddresses(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return nil, fmt.Errorf("the address %q has no host, which means every address of this machine: use 127.0.0.1, [::1] or localhost: %w", address, syscall.EINVAL)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addresses []netip.AddrPort
	for _, ip := range found {
		ip = ip.Unmap()
		switch {
		case !ip.IsLoopback() && host == ip.String():
			return nil, notLoopback(host)
		case !ip.IsLoopback():
			return nil, notLoopback(fmt.Sprintf("the address %v of %s", ip, host))
		case network == "tcp4" && !ip.Is4(), network == "tcp6" && ip.Is4():
			continue
		}
		addresses = append(addresses, netip.AddrPortFrom(ip, uint16(port)))
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("%s has no address for the network %s: %w", host, network, syscall.EINVAL)
	}
	slices.SortStableFunc(addresses, func(a, b netip.AddrPort) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	return addresses, nil
}

func dialTCP(ctx context.Context, network, address string, policy Policy) (*Conn, error) {
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Addr: givenAddress(network, address), Err: err}
	}
	addresses, err := loopbackAddresses(ctx, network, address)
	if err != nil {
		return nil, failed(err)
	}
	conn, err := dialFirst(ctx, network, addresses)
	if err != nil {
		return nil, err
	}
	admitted, denied := admitByUID(conn, policy, func(conn net.Conn) (uint32, error) { return serverUID(ctx, conn) })
	if denied != nil {
		conn.Close()
		if errors.Is(denied.Err, errNotAccepted) {
			return nil, failed(denied.Err) // which is not about who serves
		}
		return nil, failed(denied)
	}
	admitted.quick = true
	return admitted, nil
}

// dialFirst connects to the first of the addresses where a server listens. If no server
// listens, it returns the error for the first address.
func dialFirst(ctx context.Context, network string, addresses []netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	dialer.SetMultipathTCP(false)
	var first error
	for _, address := range addresses {
		conn, err := dialer.DialContext(ctx, network, address.String())
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

const (
	firstLook   = time.Millisecond
	longestLook = 100 * time.Millisecond
)

var errNotAccepted = errors.New("the server did not accept the connection, so its user is not known")

// serverUID waits until the server has accepted the connection. Until then the server's end
// belongs to nobody.
func serverUID(ctx context.Context, conn net.Conn) (uint32, error) {
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		uid, err := peercred.GetLoopbackPeerUID(conn)
		if !isNotAccepted(err) {
			return uid, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", errNotAccepted, ctx.Err())
		}
	}
}
