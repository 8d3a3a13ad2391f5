//go:build linux

package main

import (
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

// scaling is the same question from more goroutines, about more connections. Times
// are those on the wall for one question, whoever asks it, as ratios to the bare call
// in one goroutine.
func scaling() (*group, error) {
	one, err := openConnection()
	if err != nil {
		return nil, err
	}
	fd, err := descriptor(one)
	if err != nil {
		return nil, err
	}
	held, err := holdConnections(slices.Max(order.Open))
	if err != nil {
		return nil, err
	}
	g := &group{length: 10 * time.Millisecond, uncounted: true, close: func() { one.Close(); held.close() }}
	g.add(order.Limit, order.Bare, order.Bare, concurrent(1, 1, func(_, n int) { bare(fd)(n) }))
	for _, processors := range order.Processors {
		const bothBusy = 2
		g.add(order.Limit, order.Scaled(order.Bare, false, bothBusy, processors), order.Bare,
			concurrent(bothBusy, processors, func(i, n int) { bare(held.descriptors[i])(n) }))
		for _, goroutines := range order.Goroutines {
			g.add(order.Ours, order.Scaled(order.Get, false, goroutines, processors), order.Bare,
				concurrent(goroutines, processors, func(i, n int) { get(held.conns[i])(n) }))
			g.add(order.Ours, order.Scaled(order.Get, true, goroutines, processors), order.Bare,
				concurrent(goroutines, processors, func(_, n int) { get(one)(n) }))
		}
	}
	for _, open := range order.Open {
		g.add(order.Ours, order.Opened(open), order.Bare, timed(inTurn(held.conns[:open])))
	}
	return g, nil
}

// concurrent is a burst of n, shared out to goroutines that begin together.
func concurrent(goroutines, processors int, ask func(goroutine, n int)) func(n int) time.Duration {
	return func(n int) time.Duration {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		begin := make(chan struct{})
		var all sync.WaitGroup
		for i := range goroutines {
			share := (n + i) / goroutines
			all.Go(func() {
				<-begin
				ask(i, share)
			})
		}
		began := time.Now()
		close(begin)
		all.Wait()
		return time.Since(began)
	}
}

// inTurn asks about one connection after the other, and goes on where it stopped.
func inTurn(conns []net.Conn) func(n int) {
	next := 0
	return func(n int) {
		for range n {
			get(conns[next])(1)
			next = (next + 1) % len(conns)
		}
	}
}
