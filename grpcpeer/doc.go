// Package grpcpeer tells a gRPC server on a Unix socket who calls it, and a gRPC client who
// serves it. It admits the peers that a [guard.Policy] admits.
//
//	rules := grpcpeer.Rules{
//		pb.Store_Get_FullMethodName: guard.UIDs(1000, 1001),
//		"/store.Admin/":             guard.UIDs(0),
//	}
//	policy := guard.UIDs(0, 1000, 1001)
//	listener, err := guard.Listen(ctx, "unix", path, guard.Config{Policy: policy, Mode: 0666})
//	server := grpc.NewServer(append(grpcpeer.Require(rules), grpc.Creds(grpcpeer.NewServerCredentials(policy)))...)
//
// There are two places to decide. [NewServerCredentials] and [NewClientCredentials] decide
// when a connection is made, before anything is read or sent. [Require] and the interceptors
// decide on each call by its method, before its handler runs.
//
// The credentials replace google.golang.org/grpc/credentials/local. That package looks only
// at the kind of address, and does not know the process at the other end. These credentials
// ask the kernel for the process and for the kind of socket. Both give the security level
// PrivacyAndIntegrity, because data on a Unix socket does not leave the kernel. So
// [credentials.PerRPCCredentials] that require transport security work.
//
// # Loopback TCP
//
// The credentials also work on connections of a [guard.Listener] on loopback TCP, and of
// [guard.Dial] through [grpc.WithContextDialer]. The kernel reports only the uid of such a
// peer: see package guard. Both packages give these connections the level NoSecurity. gRPC
// then does not send PerRPCCredentials that require transport security. A call with such
// credentials of its own fails with codes.Unauthenticated. Every call of a client with such
// credentials fails with codes.Unavailable.
//
// The credentials add nothing to the protocol. Clients with insecure credentials, in any
// language, can connect to a server with [NewServerCredentials]. A client with
// [NewClientCredentials] can connect to a server without credentials.
//
// The limits of [example.com/peercred.GetPeerCredentials] apply. A server sees the ids of the
// process that connected. A client sees those of the process that listened. Either process
// can pass its end on to another.
//
// # Which calls the rules decide on
//
// The interceptors decide on calls of the methods that the server has. gRPC answers calls
// of other methods with codes.Unimplemented, and does not ask the interceptors. So any peer
// that can connect can find out which methods there are.
//
// A server with [grpc.UnknownServiceHandler] accepts calls of all methods. Calls of methods
// that it does not have are streams, and the stream interceptor decides on them. The client
// chooses their names. The rule "/" admits any name, and "/package.Service/" any method
// name. Calls without a rule are denied.
//
// Calls through [grpc.Server.ServeHTTP] bypass the credentials. Their peer is not known, so
// every rule denies them. A server without rules serves them.
//
// # Denied connections
//
// [NewServerCredentials] works with any listener. A listener of [guard.Listen] is better,
// because it denies a peer before gRPC sees it. On Linux 6.16 and newer it also refuses
// file descriptors from peers, which can make the close of a connection slow. gRPC does not
// wait until the connection of a denied peer is closed. It does wait for that of an
// admitted peer.
//
// Sources: credentials/credentials.go, credentials/local/local.go, server.go,
// picker_wrapper.go and internal/transport of grpc-go 1.85.
package grpcpeer
