//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/peercred"
	"example.com/peercred/internal/remains"
)

const (
	warmUp = time.Second
	// lastly the garbage collector is off, so that what was forgotten stays open.
	lastly = time.Second
	// longest is how long it may take to end, once the time is up.
	longest = 2 * time.Minute
)

// settling is how long what was left over may still go away.
var settling = 10 * time.Second

var errInterrupted = errors.New("interrupted")

// run prints what comes of it, and fails if that is not as it must be.
func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("clients connect as three users, for which it must run as root")
	}
	fmt.Printf("%d connections at least, for %v, %s, seed %d\n", o.connections, o.time, peercred.Implementation, o.seed)
	defer time.AfterFunc(warmUp+o.time+longest, dieOfWaiting).Stop()
	r, err := soak(ctx, o)
	if r != nil {
		fmt.Print(r)
	}
	if err != nil {
		return err
	}
	if complaints := r.complaints(); len(complaints) > 0 {
		return errors.New(strings.Join(complaints, "\n  "))
	}
	fmt.Println("  all as it must be")
	return nil
}

// dieOfWaiting says who waits for what.
func dieOfWaiting() {
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	log.Fatalf("it does not end")
}

// soak returns what came of it so far with an error, too, if that can be told.
func soak(parent context.Context, o options) (r *result, err error) {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // as it was, in the end
	s, err := newServer(o.seed, fail)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	slots := newSlots(o.seed)
	s.inhabit(ctx, slots, warmUp, nil) // so that what is made once is made
	r = &result{asked: o.connections, support: s.support, before: remains.AtRest()}
	s.inhabit(ctx, slots, o.time, func(ctx context.Context) { s.observe(ctx, o.time, r) })
	r.elapsed = time.Since(s.began)
	r.after = settle(r.before)
	r.connections, r.counts = s.connections(), s.tally.read()
	r.started, r.separate, r.killed = s.started.Load(), s.separate.Load(), s.killed.Load()
	switch {
	case parent.Err() != nil:
		return r, errInterrupted
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	}
	return r, nil
}

// inhabit has clients live, die and come again in all slots for a time, and returns
// when the last is forgotten. Meanwhile somebody may observe them.
func (s *server) inhabit(parent context.Context, slots []*slot, long time.Duration, observe func(context.Context)) {
	ctx, cancel := context.WithTimeout(parent, long)
	defer cancel()
	var all sync.WaitGroup
	for _, slot := range slots {
		all.Go(func() { s.occupy(ctx, slot) })
	}
	if observe != nil {
		observe(ctx)
	}
	all.Wait()
}

// observe measures each second, until the context is done.
func (s *server) observe(ctx context.Context, long time.Duration, r *result) {
	began, p := time.Now(), newProgress()
	defer p.clear()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	settled, nearlyDone := time.After(long/5), time.After(long-min(lastly, long/5))
	for {
		select {
		case <-ctx.Done():
			return
		case <-settled:
			r.early = measureKept()
			r.threads[0] = r.early.threads
		case <-nearlyDone:
			r.late = measureKept()
			debug.SetGCPercent(-1)
		case <-second.C:
			now := measure()
			switch elapsed := time.Since(began); {
			case elapsed > long/2:
				r.threads[1] = max(r.threads[1], now.threads)
			case elapsed > long/5:
				r.threads[0] = max(r.threads[0], now.threads)
			}
			p.show(s, now)
		}
	}
}

// settle waits for what is on its way to end, for no more than a time.
func settle(want remains.Remains) remains.Remains {
	for deadline := time.Now().Add(settling); ; time.Sleep(time.Millisecond) {
		if got := remains.Count(); got == want || time.Now().After(deadline) {
			return got
		}
	}
}

// slot is where one client lives after the other.
type slot struct {
	choose            *rand.Rand
	next, step        uint64 // number of a client
	separate          bool   // in namespaces of their own
	user              user   // else
	shortest, longest time.Duration
}

func newSlots(seed uint64) (slots []*slot) {
	for n := range 6 {
		slots = append(slots, &slot{user: users[n%len(users)], shortest: time.Second, longest: 5 * time.Second})
	}
	for range 2 {
		slots = append(slots, &slot{separate: true, shortest: 20 * time.Millisecond, longest: 300 * time.Millisecond})
	}
	for n, slot := range slots {
		slot.choose = rand.New(rand.NewPCG(seed, uint64(n)))
		slot.next, slot.step = uint64(ourselves+1+n), uint64(len(slots))
	}
	return slots
}

func (s *server) occupy(ctx context.Context, slot *slot) {
	for ctx.Err() == nil {
		if err := s.liveAndDie(ctx, slot); err != nil {
			s.fail(err)
			return
		}
	}
}

// liveAndDie is the life of one client.
func (s *server) liveAndDie(ctx context.Context, slot *slot) error {
	user, namespaces := slot.user, uintptr(0)
	if slot.separate {
		user, namespaces = users[slot.choose.IntN(len(users))], newNamespaces[slot.choose.IntN(len(newNamespaces))]
		s.separate.Add(1)
	}
	number := slot.next
	slot.next += slot.step
	life := slot.shortest + time.Duration(slot.choose.Int64N(int64(slot.longest-slot.shortest)))
	kill := slot.choose.IntN(2) == 0
	p, err := s.start(number, user, namespaces, slot.choose)
	if err != nil {
		return err
	}
	s.started.Add(1)
	s.register(p)
	if err := p.open(); err != nil {
		return errors.Join(err, p.end(true))
	}
	select {
	case <-ctx.Done():
	case <-time.After(life):
	case <-p.left: // by itself, of which end complains
	}
	if kill {
		s.killed.Add(1)
	}
	return errors.Join(p.end(kill), s.forget(p))
}

// newNamespaces are those in which a client can be.
var newNamespaces = []uintptr{
	syscall.CLONE_NEWUSER,
	syscall.CLONE_NEWPID,
	syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
	syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
}
