//go:build unix && (cgo || (!android && !ios))

package main

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"

	"example.com/peercred/guard"
)

// liveRules has the current rules.
type liveRules struct {
	path    string
	log     *slog.Logger
	current atomic.Pointer[rules]
}

// openLiveRules reads the rules in the file at path. An error is final this time.
func openLiveRules(path string, log *slog.Logger) (*liveRules, error) {
	r, err := loadRules(path)
	if err != nil {
		return nil, err
	}
	l := &liveRules{path: path, log: log}
	l.current.Store(r)
	return l, nil
}

// reloadOn reads the rules again for each signal in hangups, until ctx is done.
func (l *liveRules) reloadOn(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			l.reload()
		}
	}
}

// reload replaces all rules, or none if there is an error.
func (l *liveRules) reload() {
	r, err := loadRules(l.path)
	if err != nil {
		l.log.Error("rules not reloaded, the old ones stay", "error", err)
		return
	}
	l.current.Store(r)
	l.log.Info("rules reloaded", "users", r.users.String(), "verifiers", r.verifiers.String(), "lifetime", r.lifetime)
}

func (l *liveRules) get() *rules { return l.current.Load() }

// Each policy uses the rules that are current when it is asked. A denial names the rule in
// the file, because guard returns the inner denial.

func (l *liveRules) users() guard.Policy {
	return guard.Func("the users of the rules", func(p guard.Peer) error { return guard.AllOf(ownUID, l.get().users).Allow(p) })
}

// ownUID denies a uid that stands for many users. In a user namespace a peer that a group
// admits can have such a uid, and credentials are for one user.
var ownUID = guard.Func("a uid of one's own", func(p guard.Peer) error {
	return guard.UIDs(p.Credentials().UID).Allow(p)
})

func (l *liveRules) verifiers() guard.Policy {
	return guard.Func("the verifiers of the rules", func(p guard.Peer) error { return l.get().verifiers.Allow(p) })
}

func (l *liveRules) anyone() guard.Policy {
	return guard.Func("anyone in the rules", func(p guard.Peer) error { return l.get().anyone().Allow(p) })
}
