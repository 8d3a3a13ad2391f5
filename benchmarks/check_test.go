//go:build linux

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaselineDiff(t *testing.T) {
	const question = "a question"
	for name, test := range map[string]struct {
		change func(now *baseline, c *cost)
		differ bool
	}{
		"nothing":                    {func(*baseline, *cost) {}, false},
		"an allocation":              {func(_ *baseline, c *cost) { c.Allocations++ }, true},
		"an allocation less":         {func(_ *baseline, c *cost) { c.Allocations-- }, true},
		"a system call":              {func(_ *baseline, c *cost) { c.Calls["getsockopt"]++ }, true},
		"another system call":        {func(_ *baseline, c *cost) { c.Calls["dup"]++ }, true},
		"a percent of instructions":  {func(_ *baseline, c *cost) { c.Instructions = 1010 }, false},
		"more instructions":          {func(_ *baseline, c *cost) { c.Instructions = 1011 }, true},
		"fewer instructions":         {func(_ *baseline, c *cost) { c.Instructions = 990 }, true},
		"no instructions":            {func(_ *baseline, c *cost) { c.Instructions = 0 }, true},
		"the compiler":               {func(b *baseline, c *cost) { b.Go, c.Instructions = "go2", 1250 }, false},
		"the compiler, far more":     {func(b *baseline, c *cost) { b.Go, c.Instructions = "go2", 1251 }, true},
		"the architecture":           {func(b *baseline, c *cost) { b.Arch, c.Instructions = "arm64", 9000 }, false},
		"the architecture, one call": {func(b *baseline, c *cost) { b.Arch, c.Calls = "arm64", nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			costs := func() map[string]map[string]cost {
				return map[string]map[string]cost{"cgo": {question: {1, map[string]int{"getsockopt": 1}, 1000}}}
			}
			then, now := baseline{"go1", "amd64", costs()}, baseline{"go1", "amd64", costs()}
			c := now.Costs["cgo"][question]
			test.change(&now, &c)
			now.Costs["cgo"][question] = c
			if diff := then.diff(now); (diff != "") != test.differ {
				t.Errorf("differs: %t, want %t\n%s", diff != "", test.differ, diff)
			}
		})
	}
}

// A renamed subject fails the check, because otherwise nothing would check its cost.
func TestBaselineDiffOfSubjects(t *testing.T) {
	old := baseline{Costs: map[string]map[string]cost{"cgo": {"old": {}}}}
	for _, now := range []map[string]cost{{}, {"new": {}}, {"old": {}, "new": {}}} {
		if diff := old.diff(baseline{Costs: map[string]map[string]cost{"cgo": now}}); diff == "" {
			t.Errorf("no difference to %v", now)
		}
	}
}

func TestParseCalls(t *testing.T) {
	got := parseCalls([]byte(`strace: Process 4711 attached
    calls syscall
--------- ----------------
     1028 getsockopt
     3042 fcntl
      283 rt_sigaction
      998 close
--------- ----------------
     5351 total
`))
	want := map[string]int{"getsockopt": 1, "fcntl": 3, "close": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
