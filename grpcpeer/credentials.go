package grpcpeer

import (
	"log/slog"
	"slices"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// protocol names these credentials to gRPC.
const protocol = "peercred"

// common is what the credentials of both ends have.
type common struct {
	policy     guard.Policy
	onDeny     []func(*guard.Denied)
	serverName string
}

func newCommon(policy guard.Policy, onDeny []func(*guard.Denied)) common {
	return common{policy: policy, onDeny: slices.Clone(onDeny)}
}

// Info names the protocol and, if OverrideServerName gave one, the server.
func (c *common) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{
		SecurityProtocol: protocol,
		//lint:ignore SA1019 gRPC still takes the :authority from it, as for credentials/local.
		ServerName: c.serverName,
	}
}

// OverrideServerName gives the :authority header, and has no say in who is let in.
// It is not to be called while the credentials are in use.
func (c *common) OverrideServerName(name string) error {
	c.serverName = name
	return nil
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
