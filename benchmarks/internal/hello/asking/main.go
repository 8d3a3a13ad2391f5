// Command asking is command alone, that greets its peers by their ids.
package main

import (
	"net"
	"os"

	"example.com/peercred"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		if peer, err := peercred.GetPeerCredentials(conn); err == nil {
			conn.Write([]byte("hello " + peer.String() + "\n"))
		}
		conn.Close()
	}
}
