// Package grpcpeer tells a gRPC server on a Unix socket who calls it, and a gRPC
// client who serves it, and lets in whom a [guard.Policy] lets in.
//
//	rules := grpcpeer.Rules{
//		pb.Store_Get_FullMethodName: guard.UIDs(1000, 1001),
//		"/store.Admin/":             guard.UIDs(0),
//	}
//	policy := guard.UIDs(0, 1000, 1001)
//	listener, err := guard.Listen(ctx, "unix", path, guard.Config{Policy: policy, Mode: 0666})
//	server := grpc.NewServer(append(grpcpeer.Require(rules), grpc.Creds(grpcpeer.NewServerCredentials(policy)))...)
//
// There are two places to decide. [NewServerCredentials] and [NewClientCredentials]
// decide when a connection is made, before a byte of the other end is read and
// before one is sent; [Require], or the interceptors it is made of, decide for every
// call, by its method, before its handler runs.
//
// The credentials take the place of google.golang.org/grpc/credentials/local. That
// looks at the kind of address alone, and says nothing about who is at the other
// end; these ask the kernel, and for the kind of socket too. Both give the security
// level PrivacyAndIntegrity, since what goes through a Unix socket does not leave
// the kernel: so [credentials.PerRPCCredentials] that require transport security
// work. Nothing of it is on the wire: a client with insecure credentials, in any
// language, gets along with [NewServerCredentials], and the reverse.
//
// What [example.com/peercred.GetPeerCredentials] says of its limits holds here: the
// ids are those of whoever connected or listened, and a process can hand its end to
// another.
//
// Not covered: a call of a method that the server does not have never comes to an
// interceptor, and gRPC answers it with codes.Unimplemented; calls through
// [grpc.Server.ServeHTTP] pass by the credentials, so that their peer is unknown:
// every rule refuses them, and without rules nothing does.
//
// Sources: credentials/credentials.go, credentials/local/local.go, server.go,
// picker_wrapper.go and internal/transport of grpc-go 1.85.
package grpcpeer
