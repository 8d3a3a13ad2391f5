package guard

import (
	"maps"
	"sync"
	"sync/atomic"
)

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
