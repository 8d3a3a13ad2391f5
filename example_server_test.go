//go:build unix && (cgo || (!android && !ios))

package peercred_test

import (
	"io"
	"log"
	"net"
	"os"

	"example.com/peercred"
)

// A server that refuses other users.
func Example_server() {
	listener, err := net.Listen("unix", "/run/user/1000/secrets.sock")
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		peer, err := peercred.GetPeerCredentials(conn)
		if err == nil && peer.UID == uint32(os.Geteuid()) {
			io.WriteString(conn, "the secret\n")
		}
		log.Printf("peer %v, error %v", peer, err)
		conn.Close()
	}
}
