package guard

import (
	"io/fs"
	"log/slog"
	"strconv"

	"example.com/peercred"
)

// Denied is the error for a peer that was denied. It is for the log of the server. Nothing
// of it is sent to the peer. It is always a pointer, which [errors.As] finds:
//
//	if denied, ok := errors.AsType[*guard.Denied](err); ok { ... }
type Denied struct {
	// Credentials are the peer's. They are nil if the kernel did not tell them.
	Credentials *peercred.PeerCredentials
	// Rule is the rule that denied the peer, as [Policy.String] returns it.
	Rule string
	// Failed is true if the rule could not decide: the kernel did not tell a fact, or the
	// rule panicked. The peer is denied in that case too.
	Failed bool
	// Err is why the rule denied the peer. It is nil if the rule alone explains it.
	Err error
}

func (d *Denied) Error() string {
	text := "peer denied"
	if d.Credentials != nil {
		text += ", " + d.Credentials.String()
	}
	text += ", by the rule " + strconv.Quote(d.Rule)
	if d.Err != nil {
		text += ": " + d.Err.Error()
	}
	return text
}

// Is reports whether target is [fs.ErrPermission], as it is for a socket file that we may
// not connect to.
func (d *Denied) Is(target error) bool { return target == fs.ErrPermission }

// Unwrap returns Err.
func (d *Denied) Unwrap() error { return d.Err }

// LogValue returns a slog group of peer, rule, failed and, if there is one, reason.
func (d *Denied) LogValue() slog.Value {
	attributes := []slog.Attr{
		slog.Any("peer", d.Credentials), slog.String("rule", d.Rule), slog.Bool("failed", d.Failed),
	}
	if d.Err != nil {
		attributes = append(attributes, slog.String("reason", d.Err.Error()))
	}
	return slog.GroupValue(attributes...)
}

// LogDenied returns a hook for [Config].OnDeny that logs each denial as a warning.
func LogDenied(logger *slog.Logger) func(*Denied) {
	return func(d *Denied) { logger.Warn("peer denied", slog.Any("denied", d)) }
}
