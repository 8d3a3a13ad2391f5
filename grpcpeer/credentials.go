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

// common has the parts that both kinds of credentials share.
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

// OverrideServerName is an error. gRPC's interface requires it, and deprecates it in favor
// of [grpc.WithAuthority], which sets the same header.
func (*common) OverrideServerName(string) error {
	return errors.New("grpcpeer: these servers have no name: set the :authority header with grpc.WithAuthority")
}

// tell calls the hooks.
func (c *common) tell(denied *guard.Denied) {
	for _, hook := range c.onDeny {
		survive(denied, func() { hook(denied) })
	}
}

// survive calls a hook, and logs it if it panics. gRPC does not recover from panics, so the
// server would end.
func survive(denied *guard.Denied, hook func()) {
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("grpcpeer: onDeny panicked", "panic", reason, "denied", denied)
		}
	}()
	hook()
}
