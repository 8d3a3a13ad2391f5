package peercred_test

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/peercred"
	"github.com/google/go-cmp/cmp"
)

// The public names. A change of one does not compile here, on any system.
var (
	_ func(net.Conn) (*peercred.PeerCredentials, error)     = peercred.GetPeerCredentials
	_ func(syscall.Conn) (*peercred.PeerCredentials, error) = peercred.GetPeerCredentialsOf
	_ func(net.Conn) ([]uint32, error)                      = peercred.GetPeerGroups
	_ func(net.Conn) (string, error)                        = peercred.GetPeerSecurityLabel
	_ func(net.Conn) (peercred.AuditToken, error)           = peercred.GetPeerAuditToken
	_ func(net.Conn) (*peercred.PeerProcess, error)         = peercred.OpenPeerProcess
	_ func(net.Conn) (uint32, error)                        = peercred.GetLoopbackPeerUID
	_ func(syscall.Conn) (uint32, error)                    = peercred.GetLoopbackPeerUIDOf
	_ func() peercred.Info                                  = peercred.Support

	_ func(*net.UnixConn, peercred.ReceiverConfig) (*peercred.Receiver, error) = peercred.NewReceiver
	_ func(*peercred.Receiver, []byte) (peercred.Message, error)               = (*peercred.Receiver).Receive
	_ func(peercred.Sender) string                                             = peercred.Sender.String
	_ func(peercred.Sender) slog.Value                                         = peercred.Sender.LogValue
	_ func(_, _ string, _ syscall.RawConn) error                               = peercred.ReceiverConfig{}.Prepare

	_ = peercred.PeerCredentials{PID: int32(0), UID: uint32(0), GID: uint32(0)}

	_ interface {
		String() string
		LogValue() slog.Value
	} = (*peercred.PeerCredentials)(nil)
	_ interface {
		error
		Is(error) bool
	} = (*peercred.ErrPeerCredentialsUnavailable)(nil)
	_ interface {
		error
		Is(error) bool
	} = (*peercred.ErrPeerProcessGone)(nil)
	_ error = (*peercred.ErrNotUnixSocket)(nil)
	_ error = (*peercred.ErrNotLoopback)(nil)
	_ error = (*peercred.ErrMessageLost)(nil)

	_ = peercred.ErrNotUnixSocket{ConnType: ""}
	_ = peercred.ErrNotLoopback{Got: ""}
	_ = peercred.ErrMessageLost{Reason: "", Err: nil}
	_ = peercred.ReceiverConfig{Process: false, SecurityLabel: false, Control: false}
	_ = peercred.Message{
		N: 0, Sender: peercred.Sender{PID: int32(0), UID: uint32(0), GID: uint32(0)}, From: "",
		Process: (*peercred.PeerProcess)(nil), ProcessErr: nil, SecurityLabel: "", Control: []byte(nil),
	}
	_ = peercred.ErrPeerCredentialsUnavailable{Platform: "", Reason: ""}
	_ = peercred.ErrPeerProcessGone{PID: int32(0)}

	_ interface {
		Close() error
		Alive() (bool, error)
		Done() <-chan struct{}
		Wait(context.Context) error
		PID() (int32, error)
		Signal(os.Signal) error
		SyscallConn() (syscall.RawConn, error)
		Inspect(func(procfs string) error) error
		Executable() (*os.File, string, error)
		ExecutablePath() (string, error)
		Cmdline() ([]string, error)
		Cgroup() ([]peercred.Cgroup, error)
		StartTime() (time.Time, error)
		CurrentCredentials() (*peercred.CurrentCredentials, error)
	} = (*peercred.PeerProcess)(nil)
	_ = peercred.Cgroup{Hierarchy: 0, Controllers: []string{}, Path: ""}
	_ = peercred.CurrentCredentials{RealUID: uint32(0), EffectiveUID: uint32(0), SavedUID: uint32(0), FilesystemUID: uint32(0),
		RealGID: uint32(0), EffectiveGID: uint32(0), SavedGID: uint32(0), FilesystemGID: uint32(0)}

	_ func(peercred.Info) iter.Seq2[string, peercred.Fact] = peercred.Info.Facts
	_                                                      = peercred.Info{System: "", Implementation: "", PID: peercred.Fact{}, UID: peercred.Fact{}, GID: peercred.Fact{},
		Groups: peercred.Fact{}, SecurityLabel: peercred.Fact{}, Process: peercred.Fact{}, AuditToken: peercred.Fact{}, LoopbackUID: peercred.Fact{}}
	_ = peercred.Fact{Available: true, Reason: "", Note: "", Call: "", Server: peercred.Moment(""), Client: peercred.Moment(""),
		Pair: peercred.Moment(""), SurvivesExit: true, Limit: 0}
)

const _ string = peercred.Implementation

// The moments are a part of Support's JSON.
func TestMoments(t *testing.T) {
	want := []peercred.Moment{"connect", "listen", "bind", "socketpair", "creation", "last use", "when asked"}
	got := []peercred.Moment{peercred.AtConnect, peercred.AtListen, peercred.AtBind, peercred.AtSocketpair, peercred.AtCreation,
		peercred.AtLastUse, peercred.WhenAsked}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The methods of an AuditToken return the words in the order of audit_token_t.
func TestAuditToken(t *testing.T) {
	token := peercred.AuditToken{4294967295, 501, 20, 502, 21, 4711, 100005, 12}
	got := []any{token.AuditUID(), token.EUID(), token.EGID(), token.RUID(), token.RGID(), token.PID(), token.SessionID(), token.PIDVersion()}
	want := []any{uint32(4294967295), uint32(501), uint32(20), uint32(502), uint32(21), int32(4711), uint32(100005), uint32(12)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
