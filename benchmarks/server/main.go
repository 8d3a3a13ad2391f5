// Command server greets its clients. With the build tag "silent" it does not ask who they
// are. The difference in size is the size that peercred adds to a server.
package main

import (
	"net"
	"os"
)

var greeting = func(net.Conn) string { return "hello\n" }

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		conn.Write([]byte(greeting(conn)))
		conn.Close()
	}
}
