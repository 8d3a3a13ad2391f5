package guard

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// closer closes the connections of denied peers in its own goroutines, so that nobody waits
// for a close(2) that a peer makes slow: see [promptly].
type closer struct {
	most int           // goroutines
	took chan struct{} // has an element after a goroutine took a waiting connection

	mu      sync.Mutex
	waiting []net.Conn
	running int
}

const (
	// maxAside bounds the goroutines of a closer. A goroutine that waits in the kernel has
	// its own thread, and a Go program ends when it has more than 10,000 threads.
	// The stacks of 512 threads of C take 4 GiB of addresses, so 32-bit programs have 64.
	maxAside = 64 << (strconv.IntSize / 64 * 3)
	// waitForCloser bounds the wait for a free goroutine.
	waitForCloser = 10 * time.Millisecond
)

// newCloser returns a closer for a process that may have this many descriptors. Connections
// that are being closed take at most an eighth of them, unless all goroutines wait in the
// kernel.
func newCloser(descriptors int) *closer {
	return &closer{most: min(max(1, descriptors/8), maxAside), took: make(chan struct{}, 1)}
}

// close closes conn in the background. If all goroutines are busy, it waits a short time
// until one takes a connection, so that a flood does not take all descriptors.
//
// The connection can be nil, or of a foreign type that panics.
func (c *closer) close(conn net.Conn) {
	if c.add(conn) {
		return
	}
	timer := time.NewTimer(waitForCloser)
	defer timer.Stop()
	select {
	case <-c.took:
	case <-timer.C:
	}
}

// add reports whether a goroutine takes conn at once.
func (c *closer) add(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, conn)
	if c.running >= c.most {
		return false
	}
	c.running++
	go c.run()
	return true
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

// next returns false if no connection is left. The goroutine then counts as ended.
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
	select {
	case c.took <- struct{}{}:
	default:
	}
	return conn, true
}

// closeForeign closes conn, and recovers if a foreign type panics.
func closeForeign(conn net.Conn) {
	defer func() { _ = recover() }()
	closeLast(socketWithin(conn), conn.Close)
}
