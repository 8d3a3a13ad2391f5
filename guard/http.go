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

// peerKey is the context's key for the *Conn of a request, or for the unguarded
// connection that it came by.
type peerKey struct{}

// unguarded is the type of a connection that is no Conn.
type unguarded string

// ConnContext is for [http.Server].ConnContext: it lets [FromContext] and [Require]
// find who sent a request. The server must serve from a [Listener], bare or through
// TLS; requests on any other connection have no peer.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c := find(conn); c != nil && c.peer.conn != nil {
		return context.WithValue(ctx, peerKey{}, c.peer.conn)
	}
	return context.WithValue(ctx, peerKey{}, unguarded(fmt.Sprintf("%T", conn))) // over that of an outer context
}

// FromContext returns who sent the request that has this context. It returns false,
// and the zero Peer, whom every Policy refuses, if that is not known: [Require] says
// why.
func FromContext(ctx context.Context) (Peer, bool) {
	conn, _ := ctx.Value(peerKey{}).(*Conn)
	return Peer{conn}, conn != nil
}

// Require returns middleware that hands on the requests whose senders policy lets in.
// It goes around one route of an [http.ServeMux], around a whole server's handler, or to
// the Use method that many routers have.
//
// The other requests get an empty answer, and their connection stays open. The status is
// 403, or 500 if the request could not be decided on ([Denied].Failed). Require is for a
// server whose [Listener] admits more peers than some routes do. It is also for one that
// has to answer refused clients: a Listener closes their connections without an answer.
//
// The answer does not tell the reason. The onDeny hooks are told it, before the answer is
// sent, in the goroutine of the request. So they must be safe for concurrent use, and
// net/http recovers from their panics.
//
// Requests whose sender is not known get the status 500. That is a mistake in the
// server's set-up: it has no [ConnContext], or does not serve from a Listener. The error
// in Denied says which, and so does [slog.Default], once for each [http.Server].
//
// The policy is asked for every request, about a peer that is known since its connection
// was accepted. That takes no system call, unless the policy wants facts that were not
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

// whyUnknown is why the sender of a request is not known.
func whyUnknown(ctx context.Context) error {
	if conn, ok := ctx.Value(peerKey{}).(unguarded); ok {
		return fmt.Errorf("guard: the request has no peer: it came by a %s, and not from a guard.Listener: serve from one", conn)
	}
	return errNoConnContext
}

// mistaken has the servers whose mistake was logged: a [weak.Pointer] to each.
var mistaken sync.Map

// logMistake logs the first request to a server whose sender is not known.
func logMistake(r *http.Request, err error) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if _, logged := mistaken.LoadOrStore(weak.Make(server), nil); !logged {
		slog.Error("guard: requests are refused", "address", r.Context().Value(http.LocalAddrContextKey), "reason", err)
	}
}
