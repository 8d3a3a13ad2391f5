//go:build linux

// Command worker measures, as the bench orders: it is built with CGO_ENABLED=1 and
// with 0, and the two take turns. Descriptor 3 is a connection to the bench, so that
// its peer is another process, as peers are.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("worker: ")
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == order.Measure:
		return measure(args[1])
	case len(args) == 3 && args[0] == order.Repeat:
		return repeat(args[1], args[2])
	case len(args) == 1 && args[0] == order.Threads:
		return reportThreads()
	case len(args) == 3 && args[0] == order.Hold:
		return hold(args[1], args[2])
	}
	return fmt.Errorf("it is started by the bench, and not with %q", args)
}

// measure says which subjects there are, and then does rounds until stdin ends.
func measure(name string) error {
	g, err := newGroup(name)
	if err != nil {
		return err
	}
	defer g.close()
	answers, orders := json.NewEncoder(os.Stdout), json.NewDecoder(os.Stdin)
	if err := answers.Encode(g.prepare()); err != nil {
		return err
	}
	for {
		var o order.Round
		switch err := orders.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := answers.Encode(order.Answer{Nanoseconds: g.round(o)}); err != nil {
			return err
		}
	}
}

// repeat is for those who count: strace, valgrind.
func repeat(name, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	g, err := newGroup(order.Questions)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(g.subjects, func(s *subject) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("this build has no subject %q", name)
	}
	g.subjects[i].burst(1) // what is only done once
	measured(g.subjects[i], n)
	fmt.Println(total)
	return nil
}

// measured is what valgrind counts the instructions of.
//
//go:noinline
func measured(s *subject, n int) time.Duration { return s.burst(n) }

// openConnection returns the connection that the bench hands down.
func openConnection() (*net.UnixConn, error) {
	file := os.NewFile(3, "connection")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor 3 is to be a connection: %w", err)
	}
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("descriptor 3 is to be a Unix socket, and is a %T", conn)
	}
	return c, nil
}

// must is for what cannot fail once a subject has been tried.
func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
