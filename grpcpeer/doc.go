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
// # Which calls the rules decide on
//
// The interceptors decide on calls of the methods that the server has. gRPC answers a call
// of any other method with codes.Unimplemented, and asks no interceptor. So whoever can
// connect can find out which methods there are.
//
// A server with [grpc.UnknownServiceHandler] takes calls of all methods. Those of methods
// that it does not have are streams, and the stream interceptor decides on them. Their
// names are the client's choice: the rule "/" admits any name, and "/package.Service/" any
// method name. Without a rule they are refused.
//
// Calls through [grpc.Server.ServeHTTP] bypass the credentials. Their peer is not known,
// and every rule refuses them. A server without rules serves them.
//
// # Refused connections
//
// [NewServerCredentials] works with any listener. One of [guard.Listen] is better: it
// refuses a peer before gRPC knows of it. On Linux 6.16 and newer it also refuses file
// descriptors that peers send, which can make the close of a connection take long. The
// connections of refused peers are closed without gRPC waiting for it; those of admitted
// peers are not.
//
// Sources: credentials/credentials.go, credentials/local/local.go, server.go,
// picker_wrapper.go and internal/transport of grpc-go 1.85.
package grpcpeer
