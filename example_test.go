//go:build unix && !netbsd && !dragonfly

package peercred_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"example.com/peercred"
)

// exampleSocket is a connection of this process to itself.
func exampleSocket() (server, client *net.UnixConn, remove func()) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	address := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
	listener, err := net.ListenUnix("unix", address)
	if err != nil {
		log.Fatal(err)
	}
	if client, err = net.DialUnix("unix", nil, address); err != nil {
		log.Fatal(err)
	}
	if server, err = listener.AcceptUnix(); err != nil {
		log.Fatal(err)
	}
	return server, client, func() { server.Close(); client.Close(); listener.Close(); os.RemoveAll(dir) }
}

func ExampleGetPeerCredentials() {
	server, _, remove := exampleSocket()
	defer remove()

	peer, err := peercred.GetPeerCredentials(server)
	if err != nil {
		log.Fatal(err) // no answer, no admission
	}
	fmt.Println("same process:", int(peer.PID) == os.Getpid())
	fmt.Println("same user:", int(peer.UID) == os.Geteuid())
	// Output:
	// same process: true
	// same user: true
}

func ExampleGetPeerCredentials_notAUnixSocket() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	_, err = peercred.GetPeerCredentials(conn)
	if e, ok := errors.AsType[*peercred.ErrNotUnixSocket](err); ok {
		fmt.Println(e.ConnType)
	}
	fmt.Println(err)
	// Output:
	// TCP
	// peer credentials only available for Unix sockets, got TCP
}

// A socket that came from another process, as systemd passes one, is an
// *os.File.
func ExampleGetPeerCredentialsOf() {
	server, _, remove := exampleSocket()
	defer remove()
	file, err := server.File()
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	peer, err := peercred.GetPeerCredentialsOf(file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("same user:", int(peer.UID) == os.Geteuid())
	// Output: same user: true
}

func ExamplePeerCredentials_String() {
	peer := &peercred.PeerCredentials{PID: 12345, UID: 1000, GID: 1000}
	fmt.Println(peer)
	// Output: pid=12345 uid=1000 gid=1000
}

func ExampleErrPeerCredentialsUnavailable() {
	var err error = &peercred.ErrPeerCredentialsUnavailable{
		Platform: "windows",
		Reason:   "the system does not tell the uid and gid of a socket's peer",
	}
	fmt.Println(errors.Is(err, errors.ErrUnsupported))
	// Output: true
}
