package guard

import (
	"log/slog"
	"sync"
	"time"
)

// reporter calls a hook with one denial after the other, in a goroutine that ends when none
// is left.
type reporter struct {
	hook    func(*Denied)
	mu      sync.Mutex
	waiting []*Denied
	running bool
}

const maxWaiting = 1024

// report returns false if too many are waiting.
func (r *reporter) report(d *Denied) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) >= maxWaiting {
		return false
	}
	r.waiting = append(r.waiting, d)
	if !r.running {
		r.running = true
		go r.run()
	}
	return true
}

func (r *reporter) run() {
	finished := false
	defer func() {
		if !finished { // the hook has ended the goroutine
			go r.run()
		}
	}()
	for d, ok := r.next(); ok; d, ok = r.next() {
		r.call(d)
	}
	finished = true
}

// next returns false if no denial is left. The goroutine then ends.
func (r *reporter) next() (*Denied, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.waiting, r.running = nil, false
		return nil, false
	}
	d := r.waiting[0]
	r.waiting = r.waiting[1:]
	return d, true
}

// call recovers if the hook panics, as net/http does for a handler.
func (r *reporter) call(d *Denied) {
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("guard: OnDeny panicked", "panic", reason, "denied", d)
		}
	}()
	r.hook(d)
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
