package guard_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"example.com/peercred/guard"
)

// A log server that takes messages of its own user alone, and knows which process sent each.
func ExampleListenPacket() {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "log")

	conn, err := guard.ListenPacket(context.Background(), "unixgram", path, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	client, err := net.Dial("unixgram", path)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "starting")

	buffer := make([]byte, 4096)
	packet, err := conn.ReadPacket(buffer)
	if err != nil {
		log.Fatal(err)
	}
	ours := packet.Sender.Credentials().PID == int32(os.Getpid())
	fmt.Printf("%s, from this process: %v\n", buffer[:packet.N], ours)
	// Output: starting, from this process: true
}
