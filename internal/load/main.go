//go:build linux && (cgo || !android)

// Command load puts a guarded listener under load: 10,000 connections of a user who
// is let in and 10,000 of two who are not, mixed, from 8 processes, some of them
// hostile, while the listener's descriptors run out again and again. It must run as
// root, to connect as three users. It exits with 1 if a peer was let in wrongly, one
// was lost, a descriptor or a goroutine is left, or the listener does not live.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
	"example.com/peercred/internal/remains"
)

// The users. A rule panics about the third.
const (
	welcomed  = 4242
	refused   = 4243
	unsettled = 4244
)

const (
	processes    = 8    // half of them of the user who is let in
	perProcess   = 2500 // connections of each
	inParallel   = 16   // of them at a time
	ofOneOutcome = processes / 2 * perProcess
	spare        = 40 // descriptors of the server, for 128 connections at a time
)

// longest is how long it may take, which is some seconds.
const longest = 2 * time.Minute

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	if reexec.Play(runClient) {
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	if os.Geteuid() != 0 {
		return errors.New("it connects as three users, for which it must run as root")
	}
	fmt.Printf("%d connections that are let in and %d that are not, from %d processes under three users, %s\n",
		ofOneOutcome, ofOneOutcome, processes, peercred.Implementation)
	began := time.Now()
	defer time.AfterFunc(longest, func() { log.Fatalf("it is not done after %v", longest) }).Stop()
	s, err := startServer()
	if err != nil {
		return err
	}
	defer s.remove()
	if err := s.warmUp(); err != nil {
		return err
	}
	before := remains.AtRest()
	if err := s.load(); err != nil {
		return err
	}
	if err := s.check(before); err != nil {
		return err
	}
	if err := s.endUnderAStranger(); err != nil {
		return err
	}
	fmt.Printf("  all as it must be, after %.1f s\n", time.Since(began).Seconds())
	return nil
}
