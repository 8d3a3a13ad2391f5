//go:build linux && (cgo || !android)

// Command soak asks the library's questions about very many connections, and fails if an
// answer is wrong, a connection is lost or anything is left over.
//
// Its server has plain, guarded and HTTP listeners, one on loopback TCP, and one for
// datagrams. Its clients are processes under four users. They hang up at once, shut down half,
// reset, flood, pass on descriptors, hold connections, and are killed at any moment. New ones
// replace them. The address of each connection says which client made it, so the server knows
// every right answer. Each client reports how many connections it made, and the server must
// have seen them all. Again and again the server runs out of descriptors (RLIMIT_NOFILE) while
// clients connect.
//
// "make load" and "make soak" are two sizes of a run. A run has three parts. After each part
// all clients have ended, and nothing may be left over. The last part runs without garbage
// collection, which would close forgotten descriptors.
//
// The exit code is 0 if all is right, 1 if not, 2 for wrong arguments, 130 if interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

type options struct {
	connections int64
	time        time.Duration
	patience    time.Duration            // how long to wait for a connection before it is lost
	plant       func(*visit) (lost bool) // commits a fault, in tests
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	if reexec.Play(playClient) {
		return
	}
	o := options{patience: time.Minute}
	flag.Int64Var(&o.connections, "connections", 30_000, "make at least `n` connections")
	flag.DurationVar(&o.time, "time", 0, "go on for at least this `long`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./soak [-connections n] [-time long], as root")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || o.connections < 1 || o.time < 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, o)
	if err != nil {
		log.Print(err)
	}
	switch {
	case ctx.Err() != nil:
		os.Exit(130)
	case err != nil:
		os.Exit(1)
	}
}

// tolerance is the growth in bytes that does not count as a leak.
const tolerance = 16 << 20

// run returns an error if anything is wrong.
func run(ctx context.Context, o options) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("it must run as root, to start clients under other users")
	}
	fmt.Printf("%s: at least %d connections and %v\n", peercred.Implementation, o.connections, o.time)
	s, err := newServer(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	fifth, last := o.connections/5, min(o.connections/4, 10_000)
	err = s.inhabit(fifth, o.time/5)
	before := memory()
	if err == nil {
		err = s.inhabit(o.connections-fifth-last, o.time-o.time/5)
	}
	if now := memory(); err == nil && now > before+tolerance {
		err = fmt.Errorf("grown: %d bytes of memory, and %d before", now, before)
	}
	if debug.SetGCPercent(-1); err == nil {
		err = s.inhabit(last, 0)
	}
	if err == nil {
		err = s.tally.complete()
	}
	fmt.Println(s.progress())
	if err == nil {
		fmt.Printf("  right answers: %v\n", &s.tally)
		fmt.Println("  no answer was wrong, no connection was lost, nothing was left over")
	}
	return err
}
