package grpcpeer

import (
	"errors"
	"log/slog"
	"slices"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// protocol names these credentials to gRPC.
const protocol = "peercred"

// common is what the credentials of both ends have.
type common struct {
	policy guard.Policy
	onDeny []func(*guard.Denied)
}

func newCommon(policy guard.Policy, onDeny []func(*guard.Denied)) common {
	return common{policy, slices.Clone(onDeny)}
}

// Info names the protocol.
func (*common) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: protocol}
}

// OverrideServerName is what gRPC's interface still asks for, and deprecated there
// in favour of [grpc.WithAuthority], which gives the same header.
func (*common) OverrideServerName(string) error {
	return errors.New("grpcpeer: a server has no name here; grpc.WithAuthority gives the :authority header")
}

// tell calls the hooks.
func (c *common) tell(denied *guard.Denied) {
	for _, hook := range c.onDeny {
		survive(denied, func() { hook(denied) })
	}
}

// survive runs a hook that may panic: gRPC recovers from nothing, so that the
// whole server would end.
func survive(denied *guard.Denied, hook func()) {
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("grpcpeer: onDeny panicked", "panic", reason, "denied", denied)
		}
	}()
	hook()
}
