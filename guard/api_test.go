package guard_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// The public names of this package, with their types. This file only compiles, on every
// system. A change here is a change for users.

type (
	apiPolicyOfUIDs  = func(...uint32) guard.Policy
	apiPolicyOfNames = func(...string) (guard.Policy, error)
	apiCombination   = func(...guard.Policy) guard.Policy
	apiMiddleware    = func(http.Handler) http.Handler
)

var (
	_ func(context.Context, string, string, guard.Config) (*guard.Listener, error)            = guard.Listen
	_ func(net.Listener, guard.Config) (*guard.Listener, error)                               = guard.NewListener
	_ func(string, guard.Config) (*guard.Listener, error)                                     = guard.Inherited
	_ func(context.Context, string, string, guard.Config) (*guard.PacketConn, error)          = guard.ListenPacket
	_ func(*net.UnixConn, guard.Config) (*guard.PacketConn, error)                            = guard.NewPacketConn
	_ func(*guard.PacketConn, []byte) (guard.Packet, error)                                   = (*guard.PacketConn).ReadPacket
	_ func(*guard.PacketConn) guard.Counts                                                    = (*guard.PacketConn).Counts
	_ net.PacketConn                                                                          = (*guard.PacketConn)(nil)
	_                                                                                         = guard.Packet{N: 0, Sender: guard.Peer{}, From: nil, Files: nil}
	_                                                                                         = []guard.SameSender{guard.AnySender, guard.SameUser, guard.SameProcess}
	_ func(net.Conn, guard.Policy) (*guard.Conn, error)                                       = guard.Admit
	_ func(ctx context.Context, network, address string, p guard.Policy) (*guard.Conn, error) = guard.Dial
	_ error                                                                                   = guard.ErrNotActivated

	_ apiPolicyOfUIDs                                                                           = guard.UIDs
	_ apiPolicyOfUIDs                                                                           = guard.GIDs
	_ apiPolicyOfUIDs                                                                           = guard.Groups
	_ apiPolicyOfNames                                                                          = guard.Users
	_ apiPolicyOfNames                                                                          = guard.GroupNames
	_ apiCombination                                                                            = guard.AllOf
	_ apiCombination                                                                            = guard.AnyOf
	_ func(...int32) guard.Policy                                                               = guard.PIDs
	_ func(...string) guard.Policy                                                              = guard.Labels
	_ func(string, func(guard.Peer) error) guard.Policy                                         = guard.Func
	_ func() guard.Policy                                                                       = guard.CurrentUser
	_ func() guard.Policy                                                                       = guard.Nobody
	_ func(guard.Policy, guard.Peer) error                                                      = guard.Policy.Allow
	_ func(guard.Policy) string                                                                 = guard.Policy.String
	_ func(guard.Peer) *peercred.PeerCredentials                                                = guard.Peer.Credentials
	_ func(guard.Peer) (uint32, error)                                                          = guard.Peer.UID
	_ func(*guard.LoopbackPeer) string                                                          = (*guard.LoopbackPeer).String
	_ func(*guard.LoopbackPeer) slog.Value                                                      = (*guard.LoopbackPeer).LogValue
	_ func(guard.Peer) ([]uint32, error)                                                        = guard.Peer.Groups
	_ func(guard.Peer) (string, error)                                                          = guard.Peer.SecurityLabel
	_ func(guard.Peer) (*peercred.PeerProcess, error)                                           = guard.Peer.Process
	_ func(guard.Peer) string                                                                   = guard.Peer.String
	_ func(guard.Peer) slog.Value                                                               = guard.Peer.LogValue
	_ func(*guard.Listener) (*guard.Conn, error)                                                = (*guard.Listener).AcceptPeer
	_ func(*guard.Listener) guard.Counts                                                        = (*guard.Listener).Counts
	_ func(*guard.Listener) (*os.File, error)                                                   = (*guard.Listener).File
	_ func(*guard.Listener, bool)                                                               = (*guard.Listener).SetUnlinkOnClose
	_ func(*guard.Conn) guard.Peer                                                              = (*guard.Conn).Peer
	_ func(*guard.Conn) net.Conn                                                                = (*guard.Conn).NetConn
	_ func(*guard.Conn) error                                                                   = (*guard.Conn).CloseWrite
	_ func(*slog.Logger) func(*guard.Denied)                                                    = guard.LogDenied
	_ func(*guard.Denied) slog.Value                                                            = (*guard.Denied).LogValue
	_ func(*guard.Denied, error) bool                                                           = (*guard.Denied).Is
	_ func(*guard.Denied) error                                                                 = (*guard.Denied).Unwrap
	_ func(context.Context) (guard.Peer, bool)                                                  = guard.FromContext
	_ func(context.Context, net.Conn) context.Context                                           = guard.ConnContext
	_ func(guard.Policy, ...func(*http.Request, *guard.Denied)) func(http.Handler) http.Handler = guard.Require
	_ apiMiddleware                                                                             = guard.Require(guard.Nobody())

	_ net.Listener = (*guard.Listener)(nil)
	_ syscall.Conn = (*guard.Listener)(nil)
	_ net.Conn     = (*guard.Conn)(nil)
	_ syscall.Conn = (*guard.Conn)(nil)
	_ error        = (*guard.Denied)(nil)

	_ = guard.Config{
		Policy: guard.Policy{}, Mode: fs.FileMode(0), Owner: "", Group: "", AllowSharedDirectory: false,
		MaxConnsPerUID: int(0), MaxConns: int(0), CloseOnExit: false,
		Prefetch: guard.Prefetch(0), OnDeny: func(*guard.Denied) {}, ReceiveDescriptors: false,
		AllowLoopbackTCP: false,
	}
	_ = []guard.Prefetch{guard.PrefetchGroups, guard.PrefetchSecurityLabel, guard.PrefetchProcess}
	_ = guard.Denied{Credentials: (*peercred.PeerCredentials)(nil), Loopback: (*guard.LoopbackPeer)(nil), Rule: "", Failed: false, Err: error(nil)}
	_ = guard.LoopbackPeer{Address: netip.AddrPort{}, UID: (*uint32)(nil)}
	_ = guard.Counts{
		Accepted: uint64(0), Denied: map[string]uint64(nil), Failed: uint64(0), Limited: uint64(0),
		Unreported: uint64(0), Retried: uint64(0),
	}
	_ = guard.Conn{Conn: net.Conn(nil)}
)
