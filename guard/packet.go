package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/peercred"
)

// PacketConn receives the datagrams of senders that its policy admits. It is a
// [net.PacketConn]. Its methods are safe for concurrent use.
type PacketConn struct {
	socket     net.PacketConn // closes the socket and its file
	receiver   *peercred.Receiver
	policy     Policy
	wanted     Prefetch
	receives   bool // hands descriptors on
	counters   counters
	reporter   *reporter
	closer     *closer
	close      func() error
	oneAtATime sync.Mutex // a Receive overwrites the control messages of the one before
}

// Packet is a datagram of an admitted sender.
type Packet struct {
	// N is the number of bytes in the buffer.
	N int
	// Sender is the process that sent the datagram, as of then. Its uid and gid are the
	// real ids: see [peercred.Sender]. A datagram does not report the groups. The caller
	// closes the handle that Sender.Process returns.
	Sender Peer
	// From is the address of the sender's socket, for [PacketConn.WriteTo]. It is nil for a
	// socket without a name. The sender chose the name.
	From net.Addr
	// Files are the descriptors that came with the datagram, if Config.ReceiveDescriptors is
	// set. The caller closes them.
	Files []*os.File
}

// ListenPacket receives datagrams on the Unix socket at address, from the senders that
// config.Policy admits. The network is "unixgram". It requires Linux.
//
// The socket file, its directories and the address are those of [Listen]. The kernel attaches
// the sender to every datagram from the start. Senders are not connected, so MaxConns,
// MaxConnsPerUID, CloseOnExit, SameSender and PrefetchGroups are errors, and so is
// AllowLoopbackTCP. Each datagram is a peer for OnDeny and [Counts].
//
// The policies decide on the real ids of the sender. [Groups] and [GroupNames] admit by the
// gid alone.
//
// The errors are those of Listen.
func ListenPacket(ctx context.Context, network, address string, config Config) (*PacketConn, error) {
	c, err := listenPacket(ctx, network, address, config)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: givenAddress(network, address), Err: err}
	}
	return c, nil
}

func listenPacket(ctx context.Context, network, address string, config Config) (*PacketConn, error) {
	if err := config.checkPacket(); err != nil {
		return nil, err
	}
	if network != "unixgram" {
		return nil, fmt.Errorf(`%w: it must be "unixgram"`, net.UnknownNetworkError(network))
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	wanted := config.receiver()
	if isAbstract(address) {
		if err := config.checkAbstract(); err != nil {
			return nil, err
		}
		attributes := config.attributes()
		attributes.senders = &wanted
		listen := net.ListenConfig{Control: attributes.control}
		conn, err := listen.ListenPacket(ctx, network, address)
		if err != nil {
			return nil, explainAbstract(err)
		}
		return newPacketConn(conn, conn.(*net.UnixConn), config)
	}
	attributes, err := config.file()
	if err != nil {
		return nil, err
	}
	attributes.senders = &wanted
	file, err := packetsAtPath(ctx, address, attributes)
	if err != nil {
		return nil, err
	}
	return newPacketConn(file, file.UnixConn, config)
}

// NewPacketConn guards an existing datagram socket, such as one of [net.FilePacketConn].
// Close closes conn. A datagram that was sent before this call has no sender, and is denied.
//
// If NewPacketConn fails, conn stays open. The errors are those of [NewListener].
func NewPacketConn(conn *net.UnixConn, config Config) (*PacketConn, error) {
	c, err := guardPackets(conn, config)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return c, nil
}

func guardPackets(conn *net.UnixConn, config Config) (*PacketConn, error) {
	if err := config.checkNoFile(); err != nil {
		return nil, err
	}
	if err := config.checkPacket(); err != nil {
		return nil, err
	}
	if conn == nil {
		return nil, fmt.Errorf("the connection is nil: %w", syscall.EINVAL)
	}
	if address := conn.LocalAddr(); address == nil || address.Network() != "unixgram" {
		return nil, fmt.Errorf("the connection is not a datagram socket: %w", syscall.EINVAL)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := config.attributes().control("", "", raw); err != nil {
		return nil, err
	}
	return openPacketConn(conn, conn, config)
}

// newPacketConn closes socket if it fails.
func newPacketConn(socket net.PacketConn, conn *net.UnixConn, config Config) (*PacketConn, error) {
	c, err := openPacketConn(socket, conn, config)
	if err != nil {
		socket.Close()
		return nil, err
	}
	return c, nil
}

func openPacketConn(socket net.PacketConn, conn *net.UnixConn, config Config) (*PacketConn, error) {
	wanted := config.receiver()
	// Nobody must wait for the close of a descriptor that nobody asked for.
	wanted.Control = config.ReceiveDescriptors || !descriptorsAreRefused(conn)
	receiver, err := peercred.NewReceiver(conn, wanted)
	if err != nil {
		return nil, err
	}
	c := &PacketConn{
		socket: socket, receiver: receiver, policy: config.Policy, wanted: config.Prefetch,
		receives: config.ReceiveDescriptors, closer: closerOfDenied(), reporter: config.reporter(),
	}
	c.close = sync.OnceValue(func() error {
		defer c.reporter.end()
		return socket.Close()
	})
	return c, nil
}

// receiver returns what to ask for about each sender.
func (c Config) receiver() peercred.ReceiverConfig {
	return peercred.ReceiverConfig{Process: c.Prefetch&PrefetchProcess != 0, SecurityLabel: true}
}

// checkPacket refuses a config that has no meaning for datagrams, and a system that does not
// report senders.
func (c Config) checkPacket() error {
	if err := c.check(); err != nil {
		return err
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"MaxConns", c.MaxConns != 0},
		{"MaxConnsPerUID", c.MaxConnsPerUID != 0},
		{"CloseOnExit", c.CloseOnExit},
		{"SameSender", c.SameSender != AnySender},
		{"PrefetchGroups", c.Prefetch&PrefetchGroups != 0},
		{"AllowLoopbackTCP", c.AllowLoopbackTCP},
	} {
		if field.set {
			return fmt.Errorf("the field %s of the Config has no meaning for datagrams: leave it out: %w", field.name, syscall.EINVAL)
		}
	}
	if support := peercred.Support().Sender; !support.Available {
		return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: support.Reason}
	}
	return nil
}

// ReadPacket waits for a datagram of a sender that the policy admits, and reads it into p. A
// datagram of any other sender is dropped, counted and reported to [Config].OnDeny. So is one
// that is longer than p, or whose sender the kernel does not report.
//
// The error is a *[net.OpError] that wraps [net.ErrClosed] after Close, or
// [os.ErrDeadlineExceeded] after the deadline.
func (c *PacketConn) ReadPacket(p []byte) (Packet, error) {
	c.oneAtATime.Lock()
	defer c.oneAtATime.Unlock()
	for {
		m, err := c.receiver.Receive(p)
		if err == nil {
			if packet, ok := c.admit(m); ok {
				return packet, nil
			}
			clear(p[:m.N])
			continue
		}
		_, lost := errors.AsType[*peercred.ErrMessageLost](err)
		switch {
		case lost:
		case goesBy(err):
			time.Sleep(shortestPause)
		default:
			return Packet{}, readError(c.socket.LocalAddr(), nil, err)
		}
		c.deny(&Denied{Rule: ruleKnown, Failed: true, Err: err})
	}
}

// admit returns ok=false if the sender is denied.
func (c *PacketConn) admit(m peercred.Message) (packet Packet, ok bool) {
	files := descriptorsIn(m.Control)
	sender := c.sender(m)
	denied := c.policy.decideOn(sender)
	if denied != nil || !c.receives {
		c.closeAll(files)
		files = nil
	}
	if denied != nil {
		sender.conn.closeFacts()
		c.deny(denied)
		return Packet{}, false
	}
	c.counters.accepted.Add(1)
	packet = Packet{N: m.N, Sender: sender, Files: files}
	if m.From != "" {
		packet.From = &net.UnixAddr{Name: m.From, Net: "unixgram"}
	}
	return packet, true
}

// sender returns the sender of a message. There is nothing more to ask the kernel about it.
func (c *PacketConn) sender(m peercred.Message) Peer {
	conn := &Conn{uid: m.Sender.UID, ids: peercred.PeerCredentials{PID: m.Sender.PID, UID: m.Sender.UID, GID: m.Sender.GID}}
	conn.credentials, conn.peer = &conn.ids, Peer{conn}
	f := new(facts)
	f.groups.settle(nil, notInPacket("the groups"))
	if m.SecurityLabel == "" {
		f.label.settle("", notInPacket("a security label"))
	}
	f.label.settle(m.SecurityLabel, nil)
	if c.wanted&PrefetchProcess == 0 {
		f.process.settle(nil, notInPacket("the process unless Config.Prefetch has PrefetchProcess"))
	}
	f.process.settle(m.Process, m.ProcessErr)
	conn.facts.Store(f)
	return conn.peer
}

// notInPacket is the error for a fact that a datagram does not report.
type notInPacket string

func (fact notInPacket) Error() string { return "a datagram does not report " + string(fact) }

func (notInPacket) Is(target error) bool { return target == errors.ErrUnsupported }

func (c *PacketConn) deny(denied *Denied) {
	c.counters.deny(denied)
	if !c.reporter.report(denied) {
		c.counters.unreported.Add(1)
	}
}

// closeAll closes descriptors that nobody asked for, in the background.
func (c *PacketConn) closeAll(files []*os.File) {
	if len(files) > 0 {
		c.closer.close(unwanted(files))
	}
}

// unwanted are the descriptors of one datagram. So a sender of many does not make others wait
// longer than a sender of one.
type unwanted []*os.File

func (u unwanted) Close() error {
	for _, file := range u {
		closeForeign(file)
	}
	return nil
}

// ReadFrom is [PacketConn.ReadPacket] as a method of [net.PacketConn]. It closes what came with
// the datagram.
func (c *PacketConn) ReadFrom(p []byte) (n int, from net.Addr, err error) {
	packet, err := c.ReadPacket(p)
	if err != nil {
		return 0, nil, err
	}
	c.closeAll(packet.Files)
	packet.Sender.conn.closeFacts()
	return packet.N, packet.From, nil
}

// WriteTo sends a datagram to the socket at address. It does not ask who receives it.
func (c *PacketConn) WriteTo(p []byte, address net.Addr) (int, error) {
	return c.socket.WriteTo(p, address)
}

// Close removes the socket file that [ListenPacket] made, unless another file has taken its
// place, and closes the socket. A second Close does nothing and returns the same error.
func (c *PacketConn) Close() error { return c.close() }

// LocalAddr returns the address of the socket.
func (c *PacketConn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// SetDeadline sets the deadlines of reads and writes, as that of [net.PacketConn] does.
func (c *PacketConn) SetDeadline(t time.Time) error { return c.socket.SetDeadline(t) }

// SetReadDeadline sets the deadline of ReadPacket and ReadFrom.
func (c *PacketConn) SetReadDeadline(t time.Time) error { return c.socket.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of WriteTo.
func (c *PacketConn) SetWriteDeadline(t time.Time) error { return c.socket.SetWriteDeadline(t) }

// Counts returns the numbers of datagrams so far, by outcome. Limited is 0.
func (c *PacketConn) Counts() Counts { return c.counters.read() }

// checkAddress refuses an address that the kernel would misread.
func checkAddress(address string) error {
	switch {
	case address == "", address == "@":
		return errors.New("the address is empty")
	case strings.ContainsRune(address, 0): // it would end a path, or begin an abstract name
		return fmt.Errorf("the address %q has a NUL byte: %w", address, syscall.EINVAL)
	}
	return nil
}
