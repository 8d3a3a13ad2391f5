//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"example.com/peercred/guard"
)

// datagram is what is shown about the sender of a datagram.
type datagram struct {
	peer
	Bytes int    `json:"bytes"`
	From  string `json:"from,omitempty"` // the name of the sender's socket
}

// longestDatagram is more than Linux sends by default (net.core.wmem_default).
const longestDatagram = 1 << 20

// listenForDatagrams shows the sender of each datagram, or only of the first.
func listenForDatagrams(ctx context.Context, address string, config guard.Config, once bool, stderr io.Writer, show func(shown) error) error {
	config.Prefetch = guard.PrefetchProcess
	config.ReceiveDescriptors = true // systemd-notify(1) requires it
	conn, err := guard.ListenPacket(ctx, "unixgram", address, config)
	if err != nil {
		return errors.New(flagNames.Replace(err.Error()))
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	fmt.Fprintf(stderr, "listening on %s\n", address)
	buffer := make([]byte, longestDatagram)
	for {
		packet, err := conn.ReadPacket(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		d := datagram{peer: describe(packet.Sender), Bytes: packet.N}
		if packet.From != nil {
			d.From = packet.From.String()
		}
		for _, file := range packet.Files {
			file.Close()
		}
		if process, err := packet.Sender.Process(); err == nil {
			process.Close()
		}
		if err := show(d); err != nil || once {
			return err
		}
	}
}

// show prints d as a line of text, with the footnotes that are new, or of JSON.
func (d datagram) show(w io.Writer, asJSON bool, notes *footnotes) error {
	if asJSON {
		return json.NewEncoder(w).Encode(d)
	}
	from := ""
	if d.From != "" {
		from = " from=" + quoted(d.From)
	}
	if _, err := fmt.Fprintf(w, "%s bytes=%d%s\n", d.text(notes), d.Bytes, from); err != nil {
		return err
	}
	return notes.print(w)
}
