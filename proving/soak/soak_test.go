//go:build linux && (cgo || !android)

package main

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/peercred/internal/reexec"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { reexec.Main(m, playClient) }

// A run without faults finds no fault, and each fault is found.
func TestRun(t *testing.T) {
	reexec.NeedRoot(t)
	expect := func(change func(*peer)) func(*testing.T, *visit, int64) bool {
		return func(_ *testing.T, v *visit, _ int64) bool {
			another := &peer{want: v.peer.want, groups: v.peer.groups, outcome: v.peer.outcome}
			change(another)
			v.peer = another
			return false
		}
	}
	var losing sync.Once
	var kept sync.Map
	for _, test := range []struct {
		name  string
		plant func(t *testing.T, v *visit, n int64) (lost bool) // in the nth visit
		want  string
	}{
		{"none", nil, ""},
		{"another pid", expect(func(p *peer) { p.want.PID++ }), "wrong: "},
		{"another uid", expect(func(p *peer) { p.want.UID++ }), "wrong: "},
		{"another gid", expect(func(p *peer) { p.want.GID++ }), "wrong: "},
		{"a user who must not be admitted", expect(func(p *peer) { p.outcome = denied }), "wrong: "},
		{"a lost connection", func(_ *testing.T, v *visit, _ int64) (lost bool) {
			if v.door.Kind == plain { // elsewhere the client misses its welcome, and complains first
				losing.Do(func() { lost = true })
			}
			return lost
		}, "lost: "},
		// More than the last run may still have had when this one counted.
		{"lost descriptors", func(t *testing.T, _ *visit, n int64) bool {
			if n > 50 {
				return false
			}
			fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
			if err == nil {
				t.Cleanup(func() { unix.Close(fd) })
			}
			return false
		}, "left over: "},
		{"lost goroutines", func(t *testing.T, _ *visit, _ int64) bool {
			go func() { <-t.Context().Done() }()
			return false
		}, "left over: "},
		{"lost memory", func(_ *testing.T, _ *visit, n int64) bool {
			kept.Store(n, bytes.Repeat([]byte{1}, tolerance/100))
			return false
		}, "grown: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options{connections: 2000, patience: time.Minute}
			if test.plant != nil {
				var visits atomic.Int64
				o.patience = 2 * time.Second
				o.plant = func(v *visit) bool { return test.plant(t, v, visits.Add(1)) }
			}
			err := run(t.Context(), o)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("it says %v, want %q", err, test.want)
			}
		})
	}
}
