package guard

import (
	"log/slog"
	"time"
)

// reporter calls a hook with one denial after the other, in its own goroutine.
type reporter struct{ queue[*Denied] }

const maxWaiting = 1024

func newReporter(hook func(*Denied)) *reporter {
	return &reporter{queue[*Denied]{do: func(d *Denied) { callHook(hook, d) }, most: 1, room: maxWaiting}}
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
