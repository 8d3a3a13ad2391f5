package guard

import (
	"errors"
	"net"
	"os"
)

// closeOwned closes the connection of a refused peer, when the caller of this package
// has the connection too and may close it again, as gRPC does. Whoever closes the last
// descriptor of a socket waits for the kernel, as long as the peer likes: see [closer].
// So elsewhere gets a duplicate of the descriptor, and closes it last. When closeOwned
// returns, the socket is closed, and to close it again waits for nothing.
//
// If there is no descriptor for the duplicate, closeOwned itself waits for the kernel.
func closeOwned(conn net.Conn) {
	socket := innermost(conn)
	last, err := duplicate(socket)
	switch {
	case err == nil:
		closeSafely(socket)
		elsewhere.close(refused{conn, last}, nil)
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, net.ErrClosed):
		elsewhere.close(conn, nil)
	default:
		elsewhere.slots <- struct{}{}
		closeSafely(socket)
		<-elsewhere.slots
		elsewhere.close(conn, nil)
	}
}

// innermost returns what conn wraps, or conn itself if it wraps nothing.
func innermost(conn net.Conn) (inner net.Conn) {
	inner = conn
	defer func() { _ = recover() }() // from a foreign type's NetConn
	for range maxWrappers {
		wrapper, ok := inner.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		inner = wrapper.NetConn()
	}
	return inner
}

// duplicate returns a second descriptor of conn's socket. The error wraps
// [errors.ErrUnsupported] if conn has none to duplicate.
func duplicate(conn net.Conn) (file *os.File, err error) {
	err = errors.ErrUnsupported
	defer func() { _ = recover() }() // from a foreign type's File
	if socket, ok := conn.(interface{ File() (*os.File, error) }); ok {
		return socket.File()
	}
	return nil, err
}

// closeSafely survives a foreign type's Close.
func closeSafely(conn net.Conn) {
	defer func() { _ = recover() }()
	conn.Close()
}

// refused is a connection whose socket is closed, and the last descriptor of it.
type refused struct {
	net.Conn
	last *os.File
}

// Close closes what wraps the socket, and then the last descriptor.
func (r refused) Close() error {
	defer r.last.Close()
	return r.Conn.Close()
}
