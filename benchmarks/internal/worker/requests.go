//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"example.com/peercred/benchmarks/internal/order"
	"example.com/peercred/guard"
)

// requests are made one after the other, each to a server of its own, by a client
// that costs as little as can be: so the ratio is nearly that of the servers alone.
func requests() (*group, error) {
	runtime.GOMAXPROCS(1) // no thread waits for another to be woken, which takes any time
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") })
	g := &group{length: time.Millisecond, close: func() { os.RemoveAll(dir) }}
	for _, s := range []struct {
		kind   order.Kind
		name   string
		guard  bool
		server *http.Server
	}{
		{order.Limit, order.Request, false, &http.Server{Handler: hello}},
		{order.Ours, order.RequestGuard, true, &http.Server{Handler: hello}},
		{order.Ours, order.RequestRequired, true, &http.Server{
			Handler: guard.Require(guard.CurrentUser())(hello), ConnContext: guard.ConnContext}},
	} {
		listener, err := net.Listen("unix", filepath.Join(dir, fmt.Sprint(len(g.subjects))))
		if err != nil {
			return nil, err
		}
		if s.guard {
			listener, err = guard.NewListener(listener, guard.Config{Policy: guard.CurrentUser()})
			if err != nil {
				return nil, err
			}
		}
		go s.server.Serve(listener)
		c, err := newClient(listener.Addr())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		g.add(s.kind, s.name, order.Request, timed(c.request))
	}
	return g, nil
}

// client sends the same request again and again, and counts on answers that are all
// of one length.
type client struct {
	conn   net.Conn
	answer []byte
}

const requestText = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"

func newClient(server net.Addr) (*client, error) {
	conn, err := net.Dial(server.Network(), server.String())
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, requestText); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	answer, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &text)), nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	}
	return &client{conn, text.Bytes()}, nil
}

func (c *client) request(n int) {
	for range n {
		_, err := io.WriteString(c.conn, requestText)
		must(err)
		_, err = io.ReadFull(c.conn, c.answer)
		must(err)
	}
}
