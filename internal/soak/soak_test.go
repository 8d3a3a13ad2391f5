//go:build linux && (cgo || !android)

package main

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/peercred"
	"example.com/peercred/guard"
	"example.com/peercred/internal/reexec"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { reexec.Main(m, playClient) }

// A short run without mistakes, and one with some of each kind.
func TestSoak(t *testing.T) {
	needUserNamespaces(t)
	o := options{connections: 1, time: 2 * time.Second, seed: 1}

	r, err := soak(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r.late.rss = r.early.rss // the race detector's memory grows
	if diff := cmp.Diff([]string(nil), r.complaints()); diff != "" {
		t.Errorf("complaints (-want +got):\n%s\n%v", diff, r)
	}

	leaked := make(chan int, 1<<16)
	end := make(chan struct{})
	replace(t, &scripts, append(slices.Clone(scripts),
		[]func(*visit){mistake, (*visit).ask},
		[]func(*visit){func(v *visit) { leak(v, leaked, end) }},
	))
	replace(t, &settling, 0)
	o.connections = 1 << 40
	r, err = soak(t.Context(), o)
	close(end)
	for close(leaked); len(leaked) > 0; {
		unix.Close(<-leaked)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(r.complaints(), "\n")
	for _, want := range []string{"fewer than", "wrong answers", "left over"} {
		if !strings.Contains(got, want) {
			t.Errorf("no complaint has %q:\n%s", want, got)
		}
	}
	if r.after.Descriptors <= r.before.Descriptors || r.after.Goroutines <= r.before.Goroutines {
		t.Errorf("left over: %+v, before: %+v, want more of both", r.after, r.before)
	}
}

// reads are what each read returns: text, or an error.
type reads []any

func (r *reads) Read(p []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	next := (*r)[0]
	*r = (*r)[1:]
	switch next := next.(type) {
	case string:
		return copy(p, next), nil
	case error:
		return 0, next
	}
	panic(next)
}

func TestHearOut(t *testing.T) {
	for _, test := range []struct {
		name  string
		reads reads
		said  string
		err   error
	}{
		{"nothing", reads{}, "", nil},
		{"a word", reads{"welcome", io.EOF}, "welcome", nil},
		{"the end before the packet", reads{io.EOF, "welcome"}, "welcome", nil},
		{"a reset before the packet", reads{unix.ECONNRESET, "welcome"}, "welcome", unix.ECONNRESET},
		{"a reset after it", reads{"welcome", unix.ECONNRESET}, "welcome", unix.ECONNRESET},
	} {
		t.Run(test.name, func(t *testing.T) {
			if said, err := hearOut(&test.reads); said != test.said || err != test.err {
				t.Errorf("%q, %v, want %q, %v", said, err, test.said, test.err)
			}
		})
	}
}

func needUserNamespaces(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start clients under other ids")
	}
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || string(n) == "0\n" {
		t.Skipf("needs user namespaces: /proc/sys/user/max_user_namespaces is %q, %v", n, err)
	}
}

// replace sets a variable for the time of a test.
func replace[T any](t *testing.T, variable *T, value T) {
	old := *variable
	*variable = value
	t.Cleanup(func() { *variable = old })
}

// mistake expects another process.
func mistake(v *visit) {
	other := &peer{want: v.peer.want, groups: v.peer.groups}
	other.want.PID++
	v.peer = other
}

// leak forgets a descriptor and a goroutine now and then.
func leak(v *visit, leaked chan<- int, end <-chan struct{}) {
	if v.choose.IntN(50) > 0 {
		return
	}
	if fd, err := unix.Dup(0); err == nil {
		leaked <- fd
	}
	go func() { <-end }()
}

// selfVisit is a visit of ourselves.
func selfVisit(t *testing.T) *visit {
	t.Helper()
	us, err := self()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{tally: newTally(), support: peercred.Support()}
	if s.label, err = ownLabel(s.support.SecurityLabel); err != nil {
		t.Fatal(err)
	}
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return &visit{server: s, conn: ours, peer: us, choose: rand.New(rand.NewPCG(1, 1))}
}

// Whatever a server may be told wrongly is seen.
func TestWrongAnswersAreSeen(t *testing.T) {
	available := peercred.Fact{Available: true}
	tests := []struct {
		name  string
		spoil func(*visit)
		wrong bool
	}{
		{"nothing", func(*visit) {}, false},
		{"pid", func(v *visit) { v.peer.want.PID++ }, true},
		{"uid", func(v *visit) { v.peer.want.UID++ }, true},
		{"gid", func(v *visit) { v.peer.want.GID++ }, true},
		{"a group more", func(v *visit) { v.peer.groups = append(v.peer.groups, 1<<31) }, true},
		{"label", func(v *visit) { v.support.SecurityLabel, v.label = available, "another" }, true},
		{"process", func(v *visit) {
			v.peer.want.PID++
			process, err := peercred.OpenPeerProcess(v.conn)
			if v.checkProcess(process, err) {
				process.Close()
			}
		}, true},
		{"unavailable", func(v *visit) {
			v.support.Process = available
			v.checkProcess(nil, &peercred.ErrPeerCredentialsUnavailable{})
		}, true},
		{"gone too early", func(v *visit) { v.checkProcess(nil, &peercred.ErrPeerProcessGone{}) }, true},
		{"gone in time", func(v *visit) {
			v.peer.reaping.Store(true)
			v.checkProcess(nil, &peercred.ErrPeerProcessGone{})
		}, false},
		{"closed too early", func(v *visit) { v.conn.Close() }, true},
		{"closed in time", func(v *visit) { v.closing = true; v.conn.Close() }, false},
		{"refused", func(v *visit) { v.denied(&guard.Denied{Credentials: &v.peer.want}) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := selfVisit(t)
			test.spoil(v)
			for range 100 { // all that it may choose
				v.ask()
			}
			if c := v.tally.read(); (c.Wrong > 0) != test.wrong {
				t.Errorf("%d wrong answers, want some: %v\n%s", c.Wrong, test.wrong, strings.Join(c.Examples, "\n"))
			}
		})
	}
}

// And so is what a client may be told.
func TestWrongAnswersToClientsAreSeen(t *testing.T) {
	us, err := self()
	if err != nil {
		t.Fatal(err)
	}
	other := us.want
	other.UID++
	tests := []struct {
		name   string
		server peercred.PeerCredentials
		letIn  bool
		told   string
		wrong  int64
	}{
		{"let in", us.want, true, welcome, 0},
		{"not let in", us.want, false, "", 0},
		{"another server", other, false, "", 1},
		{"let in wrongly", us.want, false, welcome, 1},
		{"not let in wrongly", us.want, true, "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs, err := pair()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			if _, err := theirs.Write([]byte(test.told)); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			v := &visitor{client: &client{orders: orders{Server: test.server, LetIn: test.letIn}, tally: newTally()}}
			v.askWhoServes(ours.(*net.UnixConn))
			v.listen(ours.(*net.UnixConn))
			if c := v.tally.read(); c.Wrong != test.wrong {
				t.Errorf("%d wrong answers, want %d: %q", c.Wrong, test.wrong, c.Examples)
			}
		})
	}
}

func TestMeasure(t *testing.T) {
	const much = 64 << 20
	before := measureKept()
	memory := slices.Repeat([]byte{1}, much)
	after := measureKept()
	runtime.KeepAlive(memory)
	if after.heap-before.heap < much/2 || after.rss-before.rss < much/2 {
		t.Errorf("with %s more it is %v, before %v", mebibytes(much), after, before)
	}
}

func TestComplaints(t *testing.T) {
	good := func() result {
		r := result{
			asked: 10, connections: 10, elapsed: time.Second,
			counts: newCounts(), support: peercred.Info{Groups: peercred.Fact{Available: true}},
			early: usage{threads: 9, heap: 1 << 20, rss: 10 << 20}, threads: [2]int{9, 9},
		}
		for _, question := range r.questions() {
			r.counts.Answers[question] = 1
		}
		r.late = r.early
		return r
	}
	tests := []struct {
		name  string
		spoil func(*result)
		want  []string
	}{
		{"nothing", func(*result) {}, nil},
		{"growth that may be", func(r *result) {
			r.late.heap += heapTolerance
			r.late.rss += rssTolerance
			r.threads[1] += threadTolerance
		}, nil},
		{"slow", func(r *result) { r.asked = 11 }, []string{"10 connections (10 per second), fewer than 11: give it more time, or a less busy machine"}},
		{"wrong", func(r *result) { r.counts.Wrong = 1 }, []string{"1 wrong answers"}},
		{"never asked", func(r *result) { delete(r.counts.Answers, "groups") }, []string{"no answers: groups"}},
		{"a descriptor", func(r *result) { r.after.Descriptors++ }, []string{"left over: {Descriptors:1 Goroutines:0}, before: {Descriptors:0 Goroutines:0}"}},
		{"a goroutine less", func(r *result) { r.after.Goroutines-- }, []string{"left over: {Descriptors:0 Goroutines:-1}, before: {Descriptors:0 Goroutines:0}"}},
		{"heap", func(r *result) { r.late.heap += heapTolerance + 1 }, []string{"the heap has grown by 4.0 MiB"}},
		{"memory", func(r *result) { r.late.rss += rssTolerance + 1 }, []string{"the memory has grown by 16.0 MiB"}},
		{"threads", func(r *result) { r.threads[1] += threadTolerance + 1 }, []string{"the threads have grown from 9 to 18"}},
		{"not measured", func(r *result) { r.early = usage{} }, []string{"memory and threads were not measured in time"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := good()
			test.spoil(&r)
			if diff := cmp.Diff(test.want, r.complaints()); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	const claims = "@claims."
	number, n, err := parseClaim(claims, claimOf(claims, 7, 8))
	if number != 7 || n != 8 || err != nil {
		t.Errorf("the claim of 7, 8 reads %d, %d, %v", number, n, err)
	}
	for _, bad := range []string{"", "@", "@claims.", "@claims.7", "@claims.7.", "@claims.x.8", "@other.7.8", "@claims.7.8.9"} {
		if number, n, err := parseClaim(claims, bad); err == nil {
			t.Errorf("the claim %q reads %d, %d", bad, number, n)
		}
	}
}
