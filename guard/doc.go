// Package guard lets in whom a local server means to let in, and no one else: it
// wraps the listener of a Unix socket, asks the kernel who connects, and hands out
// only connections of peers that a [Policy] lets in.
//
//	listener, err := guard.Listen(ctx, "unix", path, guard.Config{Policy: guard.CurrentUser()})
//	...
//	err = http.Serve(listener, handler)
//
// No request is served before the check, no error becomes an admission, and nobody can
// connect before the socket file has the mode and the owner that it is to have.
//
// # What decides
//
// A Policy decides on facts that the kernel vouches for: user and group ids,
// supplementary groups and security label as of connect time. There is no default
// that lets anybody in: the zero Policy and an empty list let in nobody, and so does
// a rule that panics or that needs a fact which this system, or this kernel, does
// not tell. Every refusal is a *[Denied], for our own logs; the peer reads the end
// of the connection, or an HTTP status, and no reason.
//
// The peer is the process that connected. It may have passed the connection on; and
// what is true of its process now, executable and current ids, need not have been
// true then: see package peercred.
//
// # Where it stands
//
// [Listen] makes a socket file and guards it; [NewListener] guards a listener that
// comes from elsewhere; [Admit] does the same for one connection, and [Dial] for the
// client's side, to be sure of the server before a secret is sent. With
// [ConnContext], [FromContext] and [Require] an HTTP server knows who sent each
// request, and can have rules per route. For gRPC there is
// example.com/peercred/grpcpeer, a module of its own.
package guard
