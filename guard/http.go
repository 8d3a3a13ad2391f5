package guard

import (
	"context"
	"net"
	"net/http"
)

// peerKey is the context's key for a Peer's connection.
type peerKey struct{}

// ConnContext is for [http.Server].ConnContext: it lets [FromContext] and [Require]
// find who sent a request. The server must serve from a [Listener], bare or through
// TLS; requests on any other connection have no peer.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	var peer Peer // nobody, whomever an outer context may have
	if c := find(conn); c != nil {
		peer = c.peer
	}
	return context.WithValue(ctx, peerKey{}, peer.conn)
}

// FromContext returns who sent the request that has this context. It returns false,
// and the zero Peer, whom every Policy refuses, if that is not known.
func FromContext(ctx context.Context) (Peer, bool) {
	conn, _ := ctx.Value(peerKey{}).(*Conn)
	return Peer{conn}, conn != nil
}

// Require returns a handler that hands to next the requests of whom policy lets in.
// The others get the status 403, or 500 if it could not be decided ([Denied].Failed,
// a connection without credentials among that), and an empty body: why is for
// onDeny to know, which is called before the answer is sent, in the goroutine of the
// request: it must be safe for concurrent use, and a panic in it is net/http's to survive.
// The connection stays open, for requests that may have it otherwise.
//
// The policy is asked for every request, about a peer that is known since its
// connection was accepted: that costs no system call, unless the policy wants facts
// that were not asked for yet.
func Require(policy Policy, next http.Handler, onDeny ...func(*http.Request, *Denied)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := FromContext(r.Context())
		denied := policy.decideOn(peer)
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

func statusOf(d *Denied) int {
	if d.Failed {
		return http.StatusInternalServerError
	}
	return http.StatusForbidden
}
