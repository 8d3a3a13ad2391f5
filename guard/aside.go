package guard

import "net"

// maxAside is how many connections can be in the course of being closed. Each that
// the kernel keeps waiting has a thread of its own, of which a program may have 10,000.
const maxAside = 64

var closing = make(chan struct{}, maxAside)

// closeAside closes a connection whose peer was not let in. Its peer can have sent
// descriptors, and have the kernel wait for as long as it likes to drop them: so nobody
// waits here, unless there are very many of the kind.
//
// The connection can be nil, or of a foreign type that panics here as it did when it was
// asked: a listener outlives it.
func closeAside(conn net.Conn) {
	closing <- struct{}{}
	go func() {
		defer func() {
			_ = recover()
			<-closing
		}()
		conn.Close()
	}()
}
