//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// askers are as many as a busy server may have.
const askers = 1000

// reportThreads prints how many threads the process has after 1,000 goroutines asked
// for a while, about connections of their own. The runtime keeps all that it made.
func reportThreads() error {
	held, err := holdConnections(askers)
	if err != nil {
		return err
	}
	defer held.close()
	end := time.Now().Add(500 * time.Millisecond)
	var all sync.WaitGroup
	for _, conn := range held.conns {
		all.Go(func() {
			for time.Now().Before(end) {
				get(conn)(100)
			}
		})
	}
	all.Wait()
	threads, err := countThreads()
	if err != nil {
		return err
	}
	fmt.Println(threads)
	return nil
}

// countThreads is from proc(5).
func countThreads() (n int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, found := bytes.Cut(status, []byte("\nThreads:"))
	if !found {
		return 0, errors.New("/proc/self/status does not count threads")
	}
	_, err = fmt.Sscan(string(bytes.TrimSpace(after)), &n)
	return n, err
}
