package guard

import "net"

// closer closes connections whose peers were not let in. Such a peer can have sent
// descriptors, and have the kernel wait for as long as it likes to drop them: so each is
// closed in a goroutine of its own.
type closer struct{ slots chan struct{} }

// maxAside is how many connections a closer closes at a time. Each that the kernel keeps
// waiting has a thread of its own, of which a program may have 10,000.
const maxAside = 512

func newCloser() closer { return closer{make(chan struct{}, maxAside)} }

// elsewhere closes the connections that no listener accepted.
var elsewhere = newCloser()

// close waits for nothing but, if very many are being closed, one of them or done.
//
// The connection can be nil, or of a foreign type that panics here as it did when it was
// asked: a listener outlives it.
func (c closer) close(conn net.Conn, done <-chan struct{}) {
	release := func() {}
	select {
	case c.slots <- struct{}{}:
		release = func() { <-c.slots }
	case <-done: // who waits for us gives up
	}
	go func() {
		defer release()
		defer func() { _ = recover() }()
		conn.Close()
	}()
}
