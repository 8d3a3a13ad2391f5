package guard

import (
	"io/fs"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/peercred"
)

// Denied is the error for a peer that was denied. It is for the log of the server. Nothing
// of it is sent to the peer. It is always a pointer, which [errors.As] finds:
//
//	if denied, ok := errors.AsType[*guard.Denied](err); ok { ... }
type Denied struct {
	// Credentials are the peer's. They are nil if the kernel did not report them, and on
	// TCP.
	Credentials *peercred.PeerCredentials
	// Loopback is what is known about the peer of a TCP connection. It is nil on a Unix
	// socket.
	Loopback *LoopbackPeer
	// Rule is the rule that denied the peer, as [Policy.String] returns it.
	Rule string
	// Failed is true if the rule could not decide: the kernel did not report a fact, or the
	// rule panicked. The peer is denied in that case too.
	Failed bool
	// Err is why the rule denied the peer. It is nil if the rule alone explains it.
	Err error
}

func (d *Denied) Error() string {
	text := "peer denied"
	switch {
	case d.Credentials != nil:
		text += ", " + d.Credentials.String()
	case d.Loopback != nil:
		text += ", " + d.Loopback.String()
	}
	text += ", by the rule " + strconv.Quote(d.Rule)
	if d.Err != nil {
		text += ": " + d.Err.Error()
	}
	return text
}

// Is reports whether target is [fs.ErrPermission]. That is also the error for a socket file
// that we may not connect to.
func (d *Denied) Is(target error) bool { return target == fs.ErrPermission }

// Unwrap returns Err.
func (d *Denied) Unwrap() error { return d.Err }

// LogValue returns a slog group of peer, rule, failed and, if there is one, reason.
func (d *Denied) LogValue() slog.Value {
	peer := slog.Any("peer", d.Credentials)
	if d.Loopback != nil {
		peer = slog.Any("peer", d.Loopback)
	}
	attributes := []slog.Attr{
		peer, slog.String("rule", d.Rule), slog.Bool("failed", d.Failed),
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

// Counts are the numbers of peers of a [Listener] since it was made, by outcome. They
// encode to JSON, as for expvar.Func.
type Counts struct {
	// Accepted counts admitted peers.
	Accepted uint64 `json:"accepted"`
	// Denied counts denied peers by the rule that denied them. It has at most 256 rules.
	// Peers that further rules denied count as "others".
	Denied map[string]uint64 `json:"denied"`
	// Failed counts peers that were denied because the policy could not decide: see
	// [Denied].Failed. They are not in Denied.
	Failed uint64 `json:"failed"`
	// Limited counts peers that the policy admitted, but that were over [Config].MaxConns
	// or MaxConnsPerUID. They are not in Denied.
	Limited uint64 `json:"limited"`
	// Unreported counts those of Denied, Failed and Limited that were not reported to
	// OnDeny, because it was too slow.
	Unreported uint64 `json:"unreported"`
	// Retried counts temporary failures to accept, such as a lack of descriptors.
	Retried uint64 `json:"retried"`
}

type counters struct {
	accepted, failed, limited, unreported, retried atomic.Uint64

	mu     sync.Mutex
	denied map[string]uint64
}

const (
	maxRules   = 256
	otherRules = "others"
)

func (c *counters) deny(d *Denied) {
	if d.Failed {
		c.failed.Add(1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.denied == nil {
		c.denied = map[string]uint64{}
	}
	rule := d.Rule
	if _, known := c.denied[rule]; !known && len(c.denied) >= maxRules {
		rule = otherRules
	}
	c.denied[rule]++
}

func (c *counters) read() Counts {
	c.mu.Lock()
	denied := maps.Clone(c.denied)
	c.mu.Unlock()
	if denied == nil {
		denied = map[string]uint64{} // {} in JSON
	}
	return Counts{
		Accepted: c.accepted.Load(), Denied: denied, Failed: c.failed.Load(),
		Limited: c.limited.Load(), Unreported: c.unreported.Load(), Retried: c.retried.Load(),
	}
}

// reporter calls a hook with one denial after the other, in its own goroutine.
type reporter struct {
	queue[*Denied]
	sums bool // the hook logs a summary for nil
}

const maxWaiting = 1024

func newReporter(hook func(*Denied)) *reporter {
	return &reporter{queue: queue[*Denied]{do: func(d *Denied) { callHook(hook, d) }, most: 1, room: maxWaiting}}
}

// reporter returns the reporter that calls OnDeny.
func (c Config) reporter() *reporter {
	if c.OnDeny == nil {
		r := newReporter(new(sparingLog).deny)
		r.sums = true
		return r
	}
	return newReporter(c.OnDeny)
}

// end logs the summary.
func (r *reporter) end() {
	if r.sums {
		r.report(nil)
	}
}

// report returns false if too many are waiting.
func (r *reporter) report(d *Denied) bool {
	ok, _ := r.add(d)
	return ok
}

// callHook recovers if the hook panics, as net/http does for a handler.
func callHook(hook func(*Denied), d *Denied) {
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("guard: OnDeny panicked", "panic", reason, "denied", d)
		}
	}()
	hook(d)
}

// sparingLog is the default OnDeny. It logs to [slog.Default], but at most maxLogged
// denials a second, so that a flood does not fill the log. It counts the denials that it
// leaves out, and logs the count before the next denial that it logs.
type sparingLog struct {
	began        time.Time // of the second
	logged, left int
}

const maxLogged = 5

// deny logs d, or only the count if d is nil. Calls come one at a time.
func (l *sparingLog) deny(d *Denied) {
	now := time.Now()
	if d == nil || now.Sub(l.began) >= time.Second {
		if l.left > 0 {
			slog.Warn("peers denied, too many to log each", "count", l.left)
		}
		l.began, l.logged, l.left = now, 0, 0
	}
	switch {
	case d == nil:
	case l.logged < maxLogged:
		l.logged++
		LogDenied(slog.Default())(d)
	default:
		l.left++
	}
}
