package guard

import (
	"errors"
	"io/fs"
	"log/slog"
	"strconv"

	"example.com/peercred"
)

// ErrDenied is what every refusal is: errors.Is(err, ErrDenied) holds for *[Denied].
var ErrDenied = errors.New("the peer is denied")

// Denied says that a peer was not let in, and why. It is for the server's own log, and
// nothing of it goes to the peer. It is always a pointer, which errors.As finds.
// errors.Is(err, [ErrDenied]) and errors.Is(err, [fs.ErrPermission]) hold for it.
type Denied struct {
	// Credentials are the peer's, nil if they could not be had.
	Credentials *peercred.PeerCredentials
	// Rule is the rule that refused, as [Policy.String] gives it.
	Rule string
	// Failed is true if the rule could not be decided: the kernel did not tell a fact, or
	// the rule panicked. The peer is not let in then either.
	Failed bool
	// Err is why the rule refused, nil if the rule says it all.
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

// Is reports whether target is ErrDenied or fs.ErrPermission.
func (d *Denied) Is(target error) bool { return target == ErrDenied || target == fs.ErrPermission }

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

// LogDenied returns a hook for [Config].OnDeny that logs each refusal as a warning.
func LogDenied(logger *slog.Logger) func(*Denied) {
	return func(d *Denied) { logger.Warn("peer denied", slog.Any("denied", d)) }
}
