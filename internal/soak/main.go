//go:build linux && (cgo || !android)

// Command soak asks the library's questions about as many connections as it can, for
// as long as it is told: of clients under three users, some of them in namespaces of
// their own, which die and come again all the time. Each connection carries a claim
// from which the server knows who must be at its other end, in every state that it
// can be in; so no wrong answer goes unseen. Whatever grows, though it should not, is
// a failure too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/peercred/internal/reexec"
)

// options are what the user wants.
type options struct {
	connections int64
	time        time.Duration
	seed        uint64
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	if reexec.Play(playClient) {
		return
	}
	var o options
	flag.Int64Var(&o.connections, "connections", 1_000_000, "fail if there are fewer than `n`")
	flag.DurationVar(&o.time, "time", 10*time.Minute, "how `long`, whatever the connections")
	flag.Uint64Var(&o.seed, "seed", 0, "the `number` from which all choices follow, but not who is first; 0 for a new one")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./internal/soak [-connections n] [-time long] [-seed n], as root")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || o.connections < 0 || o.time <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, interrupt := context.WithCancel(context.Background())
	go interruptOnce(interrupt)
	err := run(ctx, o)
	switch {
	case errors.Is(err, errInterrupted):
		log.Print(err)
		os.Exit(130)
	case err != nil:
		log.Fatal(err)
	}
}

// interruptOnce lets the run end in order, and a second signal end it at once.
func interruptOnce(interrupt func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	interrupt()
	<-signals
	os.Exit(130)
}
