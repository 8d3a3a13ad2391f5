// Package guard admits the peers that a local server means to serve, and denies all others.
// It wraps the listener of a Unix socket, asks the kernel who connects, and returns only the
// connections of peers that a [Policy] admits.
//
//	listener, err := guard.Listen(ctx, "unix", path, guard.Config{
//		Policy: guard.CurrentUser(),
//		OnDeny: guard.LogDenied(slog.Default()),
//	})
//	...
//	err = http.Serve(listener, handler)
//
// No request is served before the check, and no error admits a peer. Nobody can connect
// before the socket file has the mode, owner and group that were asked for.
//
// # What decides
//
// A Policy decides on facts that the kernel vouches for: user and group ids, supplementary
// groups and security label, as of connect time. No default admits anybody. A listener
// without a Policy is an error, and an empty list denies every peer. A rule also denies the
// peer if it panics, or if it requires a fact that this system or kernel does not tell.
// Every denial is a *[Denied], for the log of the server. The peer sees the connection
// close, or an HTTP status. It learns no reason.
//
// The peer is the process that connected. It may have passed the connection on. Facts about
// its process as of now, such as executable and current ids, may differ from those at
// connect time: see package peercred.
//
// # Where it stands
//
// [Listen] makes a socket file and guards it. [NewListener] guards an existing listener.
// [Inherited] guards a socket that systemd hands over. [Admit] guards one connection.
// [Dial] is for clients: it checks the server before the client sends a secret.
//
// With [ConnContext], [FromContext] and [Require] an HTTP server knows who sent each
// request, and has a rule for each route. A Listener closes the connections of denied
// peers. To answer such clients with the status 403 instead, admit more peers at the
// Listener, and put Require around all routes.
//
// For gRPC there is example.com/peercred/grpcpeer, a separate module.
package guard
