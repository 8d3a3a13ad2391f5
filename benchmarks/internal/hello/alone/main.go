// Command alone is the smallest server there is, with package net alone: what the
// size of asking is measured against. Without an argument it ends at once, so that
// its start can be timed.
package main

import (
	"net"
	"os"
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
		conn.Write([]byte("hello\n"))
		conn.Close()
	}
}
