// Package order is what the bench and the processes that measure for it say to each
// other: a group of subjects first, then an order for each round and its answer, as
// lines of JSON.
package order

import "fmt"

// Kind is what a subject is to us.
type Kind string

// The kinds.
const (
	Limit Kind = "limit" // the kernel's own answer, that nobody can be faster than
	Ours  Kind = "ours"
	Peer  Kind = "peer" // another library, or what people write for want of one
)

// Subject is something whose time is measured.
type Subject struct {
	Name string
	Kind Kind
	// Against is the subject that this one is a ratio to.
	Against string
	// Allocations are those of one execution.
	Allocations int64
}

// Round orders so many sweeps over all subjects of the group, in an order that
// Number shuffles.
type Round struct{ Sweeps, Number int }

// Answer has the nanoseconds of one execution of each subject, by name: the median
// of the sweeps.
type Answer struct{ Nanoseconds map[string]float64 }

// The groups of subjects. Each is measured in processes of its own.
const (
	Questions = "questions" // to one connection that stays open
	Accepts   = "accepts"
	Requests  = "requests" // of HTTP, on one connection that is kept alive
	Calls     = "calls"    // of gRPC
	Scaling   = "scaling"
)

// What a process that measures is started to do, before the arguments of that.
const (
	Measure = "measure" // a group
	Repeat  = "repeat"  // a subject of Questions, so many times
	Threads = "threads" // report how many threads 1,000 concurrent askers make
	Hold    = "hold"    // so many connections to an address, until stdin ends
)

// Subjects that the bench knows by name.
const (
	Bare            = "getsockopt"
	BareCgo         = "getsockopt, one cgo call each"
	CLoop           = "getsockopt, a loop in C"
	BareControl     = "getsockopt, within Control"
	Get             = "GetPeerCredentials"
	GetOf           = "GetPeerCredentialsOf"
	GetOfFile       = "GetPeerCredentialsOf, *os.File"
	NativeLeaf      = "native.Credentials"
	CLeaf           = "cpeercred.Credentials"
	RecipeControl   = "SyscallConn + GetsockoptUcred"
	RecipeFile      = "File + GetsockoptUcred"
	Tailscale       = "tailscale/peercred"
	TTRPC           = "containerd/ttrpc"
	GRPCLocal       = "grpc credentials/local"
	BareGroups      = "getsockopt(SO_PEERGROUPS)"
	Groups          = "GetPeerGroups"
	BareLabel       = "getsockopt(SO_PEERSEC)"
	Label           = "GetPeerSecurityLabel"
	BareProcess     = "getsockopt(SO_PEERPIDFD) + close"
	Process         = "OpenPeerProcess + Close"
	Accept          = "Accept"
	AcceptBare      = "Accept + getsockopt, within Control"
	AcceptAsk       = "Accept + GetPeerCredentials"
	AcceptGuard     = "guard.Listener.Accept"
	Request         = "HTTP request"
	RequestGuard    = "HTTP request, guard.Listener"
	RequestRequired = "HTTP request, guard.Listener and guard.Require"
	CallLocal       = "gRPC call, credentials/local"
	Call            = "gRPC call, grpcpeer"
	CallRequired    = "gRPC call, grpcpeer and its Require"
)

// The numbers of goroutines, of processors for them, and of connections that are open
// when one goroutine asks about one after the other.
var (
	Goroutines = []int{1, 2, 4, 16, 64}
	Processors = []int{1, 2}
	Open       = []int{1, 10000}
)

// Scaled names the subject that asks concurrently, each goroutine about a connection
// of its own or all about one.
func Scaled(what string, shared bool, goroutines, processors int) string {
	whose := "own"
	if shared {
		whose = "shared"
	}
	return fmt.Sprintf("%s, %s, %d goroutines, GOMAXPROCS %d", what, whose, goroutines, processors)
}

// Opened names the subject that asks about so many connections in turn.
func Opened(connections int) string {
	return fmt.Sprintf("%s, %d connections in turn", Get, connections)
}

// MeasuredFunction is the function, as valgrind calls it, within which a process
// that was started to Repeat does so.
const MeasuredFunction = "main.measured"
