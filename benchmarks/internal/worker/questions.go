//go:build linux

package main

import (
	"context"
	"net"
	"time"

	tailscale "github.com/tailscale/peercred"

	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials/local"

	"example.com/peercred"
	"example.com/peercred/benchmarks/internal/order"
	"example.com/peercred/native"
)

// questions are all about one connection, which stays open.
func questions() (*group, error) {
	conn, err := openConnection()
	if err != nil {
		return nil, err
	}
	file, err := conn.File()
	if err != nil {
		return nil, err
	}
	fd, err := descriptor(conn)
	if err != nil {
		return nil, err
	}
	g := &group{length: 200 * time.Microsecond, close: func() { conn.Close(); file.Close() }}
	g.add(order.Limit, order.Bare, order.Bare, timed(bare(fd)))
	g.add(order.Limit, order.BareControl, order.Bare, timed(bareControl(conn)))
	g.add(order.Ours, order.Get, order.Bare, timed(get(conn)))
	g.add(order.Ours, order.GetOf, order.Bare, timed(func(n int) {
		for range n {
			p, err := peercred.GetPeerCredentialsOf(conn)
			must(err)
			total += p.UID
		}
	}))
	g.add(order.Ours, order.GetOfFile, order.Bare, timed(func(n int) {
		for range n {
			p, err := peercred.GetPeerCredentialsOf(file)
			must(err)
			total += p.UID
		}
	}))
	g.add(order.Ours, order.NativeLeaf, order.Bare, timed(func(n int) {
		for range n {
			_, uid, _, err := native.Credentials(fd)
			must(err)
			total += uid
		}
	}))
	g.addCgo(fd)
	g.addPeers(conn)
	g.addFacts(conn, fd)
	return g, nil
}

// get is the question that all is about. It is not to be inlined: the compiler makes
// another function of the one that is returned then, and inlines nothing into that.
//
//go:noinline
func get(conn net.Conn) func(n int) {
	return func(n int) {
		for range n {
			p, err := peercred.GetPeerCredentials(conn)
			must(err)
			total += p.UID
		}
	}
}

// descriptor returns that of a connection which stays open longer than it is used.
func descriptor(conn *net.UnixConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(d uintptr) { fd = int(d) })
	return fd, err
}

// addPeers adds the other libraries, and what people write.
func (g *group) addPeers(conn *net.UnixConn) {
	g.add(order.Peer, order.RecipeControl, order.Bare, timed(func(n int) {
		for range n {
			cred, err := recipeControl(conn)
			must(err)
			total += cred.Uid
		}
	}))
	g.add(order.Peer, order.RecipeFile, order.Bare, timed(func(n int) {
		for range n {
			cred, err := recipeFile(conn)
			must(err)
			total += cred.Uid
		}
	}))
	g.add(order.Peer, order.Tailscale, order.Bare, timed(func(n int) {
		for range n {
			creds, err := tailscale.Get(conn)
			must(err)
			pid, _ := creds.PID()
			total += uint32(pid)
		}
	}))
	admitAll := ttrpc.UnixCredentialsFunc(func(*unix.Ucred) error { return nil })
	g.add(order.Peer, order.TTRPC, order.Bare, timed(func(n int) {
		for range n {
			_, cred, err := admitAll.Handshake(context.Background(), conn)
			must(err)
			total += cred.(*unix.Ucred).Uid
		}
	}))
	sameHost := local.NewCredentials()
	g.add(order.Peer, order.GRPCLocal, order.Bare, timed(func(n int) {
		for range n {
			_, _, err := sameHost.ServerHandshake(conn)
			must(err)
		}
	}))
}

// recipeControl is what one finds when one looks for how it is done.
func recipeControl(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return nil, err
	}
	return cred, asked
}

// recipeFile is the other thing that one finds, which makes a descriptor.
func recipeFile(conn *net.UnixConn) (*unix.Ucred, error) {
	file, err := conn.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return unix.GetsockoptUcred(int(file.Fd()), unix.SOL_SOCKET, unix.SO_PEERCRED)
}

// addFacts adds the other questions that this kernel answers, each with its limit.
func (g *group) addFacts(conn *net.UnixConn, fd int) {
	if _, err := peercred.GetPeerGroups(conn); err == nil {
		g.add(order.Limit, order.BareGroups, order.BareGroups, timed(bareGroups(fd)))
		g.add(order.Ours, order.Groups, order.BareGroups, timed(func(n int) {
			for range n {
				groups, err := peercred.GetPeerGroups(conn)
				must(err)
				total += uint32(len(groups))
			}
		}))
	}
	if _, err := peercred.GetPeerSecurityLabel(conn); err == nil {
		g.add(order.Limit, order.BareLabel, order.BareLabel, timed(bareLabel(fd)))
		g.add(order.Ours, order.Label, order.BareLabel, timed(func(n int) {
			for range n {
				label, err := peercred.GetPeerSecurityLabel(conn)
				must(err)
				total += uint32(len(label))
			}
		}))
	}
	if process, err := peercred.OpenPeerProcess(conn); err == nil {
		process.Close()
		g.add(order.Limit, order.BareProcess, order.BareProcess, timed(bareProcess(fd)))
		g.add(order.Ours, order.Process, order.BareProcess, timed(func(n int) {
			for range n {
				process, err := peercred.OpenPeerProcess(conn)
				must(err)
				process.Close()
			}
		}))
	}
}
