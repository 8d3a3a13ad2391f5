//go:build unix

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
		if peer, err := peercred.GetPeerCredentials(conn); err == nil && peer.UID == uint32(os.Geteuid()) {
			io.WriteString(conn, "the secret\n")
		}
		conn.Close()
	}
}
