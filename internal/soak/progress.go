//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// progress shows how far it is: some lines that change, or on what is no terminal a
// line now and then.
type progress struct {
	width int // of the terminal, 0 if it is none
	lines int // shown on it
	shown time.Time
}

const showEvery = 15 * time.Second // on what is no terminal

func newProgress() *progress {
	p := &progress{shown: time.Now()}
	if size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ); err == nil {
		p.width = max(int(size.Col), 40)
	}
	return p
}

// show is called each second.
func (p *progress) show(s *server, u usage) {
	elapsed := time.Since(s.began)
	connections, c := s.connections(), s.tally.read()
	lines := []string{
		fmt.Sprintf("%v: %d connections, %.0f per second, from %d processes", elapsed.Round(time.Second), connections, float64(connections)/elapsed.Seconds(), s.started.Load()),
		"answers: " + listed(c.Answers),
		"errors: " + listed(c.Errors),
		fmt.Sprintf("wrong: %d", c.Wrong),
		u.String(),
	}
	switch {
	case p.width > 0:
		p.clear()
		for _, line := range lines {
			fmt.Println("  " + line[:min(len(line), p.width-3)])
		}
		p.lines = len(lines)
	case time.Since(p.shown) >= showEvery:
		fmt.Println("  " + strings.Join(lines, "; "))
		p.shown = time.Now()
	}
}

// clear takes away what is shown on a terminal.
func (p *progress) clear() {
	if p.lines > 0 {
		fmt.Printf("\x1b[%dA\x1b[J", p.lines)
		p.lines = 0
	}
}
