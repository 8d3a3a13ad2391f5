package guard

import (
	"net"
	"sync"
)

// closer closes the connections of refused peers in goroutines of its own, so that
// nobody waits for a close(2) that a peer makes slow: see [promptly].
type closer struct {
	mu      sync.Mutex
	waiting []net.Conn
	running int // goroutines
}

// maxAside bounds the goroutines of a closer. Each that the kernel keeps waiting has a
// thread of its own, and a Go program ends when it has more than 10,000.
const maxAside = 512

// close returns at once. The connection can be nil, or of a foreign type that panics.
func (c *closer) close(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, conn)
	if c.running < maxAside {
		c.running++
		go c.run()
	}
}

func (c *closer) run() {
	finished := false
	defer func() {
		if !finished { // a foreign Close ended the goroutine
			go c.run()
		}
	}()
	for {
		conn, ok := c.next()
		if !ok {
			finished = true
			return
		}
		closeForeign(conn)
	}
}

// next returns false if no connection is left, and counts the goroutine as ended.
func (c *closer) next() (net.Conn, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.waiting = nil
		c.running--
		return nil, false
	}
	conn := c.waiting[0]
	c.waiting[0] = nil
	c.waiting = c.waiting[1:]
	return conn, true
}

// closeForeign survives a type that panics.
func closeForeign(conn net.Conn) {
	defer func() { _ = recover() }()
	promptly(conn.Close)
}
