package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"weak"
)

// peerKey is the context key for the connection of a request: a *Conn, or unguarded.
type peerKey struct{}

// unguarded is the name of the type of a connection that is not a Conn.
type unguarded string

// ConnContext is for [http.Server].ConnContext. It lets [FromContext] and [Require] find
// the peer that sent a request. The server must serve from a [Listener], directly or
// through TLS. Requests on any other connection have no peer.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c := find(conn); c != nil && c.peer.conn != nil {
		return context.WithValue(ctx, peerKey{}, c.peer.conn)
	}
	return context.WithValue(ctx, peerKey{}, unguarded(fmt.Sprintf("%T", conn))) // hides the value of an outer context
}

// FromContext returns the peer that sent the request with this context. If the peer is not
// known, it returns false and the zero Peer, which every Policy denies. The error that
// [Require] reports says why.
func FromContext(ctx context.Context) (Peer, bool) {
	conn, _ := ctx.Value(peerKey{}).(*Conn)
	return Peer{conn}, conn != nil
}

// Require returns middleware that passes on the requests of peers that policy admits. Use
// it around one route of an [http.ServeMux], around the handler of a whole server, or with
// the Use method that many routers have.
//
// Other requests get an empty answer, and their connection stays open. The status is 403,
// or 500 if the policy could not decide ([Denied].Failed). Require is for a server whose
// [Listener] admits more peers than some routes do. It is also for a server that must
// answer denied clients: a Listener closes their connections without an answer.
//
// The answer does not have the reason. The onDeny hooks get the reason, before the answer
// is sent, in the goroutine of the request. They must be safe for concurrent use. net/http
// recovers from their panics.
//
// Requests whose peer is not known get the status 500. That is a mistake in the setup of
// the server: it has no [ConnContext], or does not serve from a Listener. The error in
// Denied says which. It is also logged to [slog.Default], once for each [http.Server].
//
// The policy decides about every request. The peer was identified when its connection was
// accepted. A decision takes no system call, unless the policy requires facts that were not
// asked for yet.
func Require(policy Policy, onDeny ...func(*http.Request, *Denied)) func(http.Handler) http.Handler {
	onDeny = slices.Clone(onDeny)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			denied := policy.decideOnRequest(r)
			if denied == nil {
				next.ServeHTTP(w, r)
				return
			}
			for _, hook := range onDeny {
				hook(r, denied)
			}
			w.WriteHeader(statusOf(denied))
		})
	}
}

func (p Policy) decideOnRequest(r *http.Request) *Denied {
	if peer, known := FromContext(r.Context()); known {
		return p.decideOn(peer)
	}
	err := whyUnknown(r.Context())
	logMistake(r, err)
	return &Denied{Rule: ruleKnown, Failed: true, Err: err}
}

func statusOf(d *Denied) int {
	if d.Failed {
		return http.StatusInternalServerError
	}
	return http.StatusForbidden
}

var errNoConnContext = errors.New("guard: the request has no peer: set http.Server.ConnContext to guard.ConnContext, and serve from a guard.Listener")

// whyUnknown says why the peer of a request is not known.
func whyUnknown(ctx context.Context) error {
	if conn, ok := ctx.Value(peerKey{}).(unguarded); ok {
		return fmt.Errorf("guard: the request has no peer: it came on a %s, not from a guard.Listener: serve from one", conn)
	}
	return errNoConnContext
}

// mistaken holds a [weak.Pointer] to each server whose mistake was logged.
var mistaken sync.Map

// logMistake logs the mistake of a server once, at its first request without a known peer.
func logMistake(r *http.Request, err error) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if _, logged := mistaken.LoadOrStore(weak.Make(server), nil); !logged {
		slog.Error("guard: requests are denied", "address", r.Context().Value(http.LocalAddrContextKey), "reason", err)
	}
}
