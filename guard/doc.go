// Package guard lets in the peers that a local server means to let in, and no others. It
// wraps the listener of a Unix socket, asks the kernel who connects, and hands out only
// the connections of peers that a [Policy] lets in.
//
//	listener, err := guard.Listen(ctx, "unix", path, guard.Config{
//		Policy: guard.CurrentUser(),
//		OnDeny: guard.LogDenied(slog.Default()),
//	})
//	...
//	err = http.Serve(listener, handler)
//
// No request is served before the check, and no error becomes an admission. The socket
// file never lets in more than it is meant to.
//
// # What decides
//
// A Policy decides on facts that the kernel vouches for: user and group ids,
// supplementary groups and security label as of connect time. No default lets anybody
// in. A listener without a Policy is an error, and an empty list lets in nobody. Neither
// does a rule that panics, or that needs a fact which this system or kernel does not tell.
// Every refusal is a *[Denied], for the server's own log. The peer reads the end of the
// connection, or an HTTP status, and no reason.
//
// The peer is the process that connected. It may have passed the connection on. What is
// true of its process now, executable and current ids, may not have been true then: see
// package peercred.
//
// # Where it stands
//
// [Listen] makes a socket file and guards it. [NewListener] guards a listener that exists,
// and [Inherited] one that systemd hands over.
// [Admit] guards one connection. [Dial] is for the client's side, which makes sure of the
// server before it sends a secret.
//
// With [ConnContext], [FromContext] and [Require] an HTTP server knows who sent each
// request, and has a rule for each route. A Listener closes the connections of peers that
// it refuses. To answer such clients with the status 403 instead, let more peers in at the
// Listener, and put Require around all routes.
//
// For gRPC there is example.com/peercred/grpcpeer, a module of its own.
package guard
