package peercred_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"example.com/peercred"
)

// A datagram server learns who sent each message. The kernel is asked for senders before the
// socket is bound, so that no message comes without one.
func ExampleNewReceiver() {
	dir, err := os.MkdirTemp("", "peercred")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")

	config := peercred.ReceiverConfig{}
	listen := net.ListenConfig{Control: config.Prepare}
	conn, err := listen.ListenPacket(context.Background(), "unixgram", path)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	receiver, err := peercred.NewReceiver(conn.(*net.UnixConn), config)
	if err != nil {
		log.Fatal(err)
	}

	client, err := net.Dial("unixgram", path)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "hello")

	buffer := make([]byte, 1024)
	message, err := receiver.Receive(buffer)
	var lost *peercred.ErrMessageLost
	switch {
	case errors.As(err, &lost):
		log.Print(err) // and go on with the next message
	case err != nil:
		log.Fatal(err)
	}
	fmt.Printf("%s from this process: %v\n", buffer[:message.N], message.Sender.PID == int32(os.Getpid()))
	// Output: hello from this process: true
}
