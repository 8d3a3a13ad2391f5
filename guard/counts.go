package guard

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Counts are what became of the peers of a [Listener] since it was made. They
// encode to JSON, as for expvar.Func.
type Counts struct {
	// Accepted peers were let in.
	Accepted uint64 `json:"accepted"`
	// Denied peers were not, by the rule that refused them. There are no more than
	// 256 rules; what further ones refused is counted as "others".
	Denied map[string]uint64 `json:"denied"`
	// Failed peers were not let in because it could not be decided: see
	// [Denied].Failed. They are not among those of Denied.
	Failed uint64 `json:"failed"`
	// Limited peers would have been let in, but for [Config].MaxConns or
	// MaxConnsPerUID. They are not among those of Denied.
	Limited uint64 `json:"limited"`
	// Unreported is how many of Denied, Failed and Limited OnDeny was not told of,
	// because it was too slow.
	Unreported uint64 `json:"unreported"`
	// Retried is how often accepting failed for the time being, as for want of
	// descriptors.
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
