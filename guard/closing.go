package guard

import (
	"io"
	"math"
	"strconv"
	"sync"
	"time"
)

// queue passes values to do, in its own goroutines. A goroutine ends when no value is left.
type queue[T any] struct {
	do   func(T)
	most int           // goroutines
	room int           // for values that wait
	took chan struct{} // has an element after a goroutine took a value; can be nil

	mu      sync.Mutex
	waiting []T
	running int
}

// add adds a value. It returns ok=false if there is no room, and atOnce=true if a goroutine
// is free.
func (q *queue[T]) add(value T) (ok, atOnce bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.room {
		return false, false
	}
	q.waiting = append(q.waiting, value)
	if q.running >= q.most {
		return true, false
	}
	q.running++
	go q.run()
	return true, true
}

func (q *queue[T]) run() {
	finished := false
	defer func() {
		if !finished { // do ended the goroutine
			go q.run()
		}
	}()
	for value, ok := q.next(); ok; value, ok = q.next() {
		q.do(value)
	}
	finished = true
}

// next returns false if no value is left. The goroutine then counts as ended.
func (q *queue[T]) next() (value T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting = nil
		q.running--
		return value, false
	}
	value, q.waiting[0] = q.waiting[0], value
	q.waiting = q.waiting[1:]
	select {
	case q.took <- struct{}{}:
	default:
	}
	return value, true
}

// closer closes the connections of denied peers, and descriptors that nobody asked for, in its
// own goroutines, so that nobody waits for a close(2) that a peer makes slow: see [promptly].
type closer struct{ queue[io.Closer] }

const (
	// maxAside bounds the goroutines of a closer. A goroutine that waits in the kernel has
	// its own thread, and a Go program ends when it has more than 10,000 threads.
	// The stacks of 512 threads of C take 4 GiB of addresses, so 32-bit programs have 64.
	maxAside = 64 << (strconv.IntSize / 64 * 3)
	// waitForCloser bounds the wait for a free goroutine.
	waitForCloser = 10 * time.Millisecond
)

// closerOfDenied returns the closer that all listeners of the process share. If each had its
// own, a peer of many listeners could use up the threads.
var closerOfDenied = sync.OnceValue(func() *closer { return newCloser(descriptorLimit()) })

// newCloser returns a closer for a process that may have this many descriptors. Connections
// that are being closed take at most an eighth of them, unless all goroutines wait in the
// kernel.
func newCloser(descriptors int) *closer {
	return &closer{queue[io.Closer]{
		do: closeForeign, most: min(max(1, descriptors/8), maxAside), room: math.MaxInt, took: make(chan struct{}, 1),
	}}
}

// close closes conn in the background. If all goroutines are busy, it waits a short time
// until one takes a connection, so that a flood does not take all descriptors. A share of
// the goroutines for each user would not shorten the wait of others: connections are
// accepted in the order in which they were made.
//
// The connection can be nil, or of a foreign type that panics.
func (c *closer) close(conn io.Closer) {
	if _, atOnce := c.add(conn); atOnce {
		return
	}
	select {
	case <-c.took:
	case <-time.After(waitForCloser):
	}
}

// closeForeign closes conn, and recovers if a foreign type panics.
func closeForeign(conn io.Closer) {
	defer func() { _ = recover() }()
	closeLast(socketWithin(conn), conn.Close)
}
