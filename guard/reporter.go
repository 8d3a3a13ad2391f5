package guard

import (
	"log/slog"
	"sync"
)

// reporter calls a hook with one refusal after the other, in a goroutine that is
// there as long as there are any.
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
	for d := r.next(); d != nil; d = r.next() {
		r.call(d)
	}
	finished = true
}

// next returns nil, and the goroutine ends, if there is none.
func (r *reporter) next() *Denied {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.waiting, r.running = nil, false
		return nil
	}
	d := r.waiting[0]
	r.waiting = r.waiting[1:]
	return d
}

// call survives a hook that panics, as net/http survives a handler that does.
func (r *reporter) call(d *Denied) {
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("guard: OnDeny panicked", "panic", reason, "denied", d)
		}
	}()
	r.hook(d)
}
