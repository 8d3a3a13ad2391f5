//go:build !silent

package main

import (
	"net"

	"example.com/peercred"
)

func init() {
	greeting = func(conn net.Conn) string {
		peer, err := peercred.GetPeerCredentials(conn)
		if err != nil {
			return "hello, stranger\n"
		}
		return "hello " + peer.String() + "\n"
	}
}
