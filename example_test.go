//go:build unix && !netbsd && !dragonfly

package peercred_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"

	"example.com/peercred"
)

// exampleSocket is a connection of this process to itself.
func exampleSocket() (server, client *net.UnixConn, remove func()) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	address := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
	listener, err := net.ListenUnix("unix", address)
	if err != nil {
		log.Fatal(err)
	}
	if client, err = net.DialUnix("unix", nil, address); err != nil {
		log.Fatal(err)
	}
	if server, err = listener.AcceptUnix(); err != nil {
		log.Fatal(err)
	}
	return server, client, func() { server.Close(); client.Close(); listener.Close(); os.RemoveAll(dir) }
}

func ExampleGetPeerCredentials() {
	server, _, remove := exampleSocket()
	defer remove()

	peer, err := peercred.GetPeerCredentials(server)
	if err != nil {
		log.Fatal(err) // no answer, no admission
	}
	fmt.Println("same process:", int(peer.PID) == os.Getpid())
	fmt.Println("same user:", int(peer.UID) == os.Geteuid())
	// Output:
	// same process: true
	// same user: true
}

func ExampleGetPeerCredentials_notAUnixSocket() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	_, err = peercred.GetPeerCredentials(conn)
	if e, ok := errors.AsType[*peercred.ErrNotUnixSocket](err); ok {
		fmt.Println(e.ConnType)
	}
	fmt.Println(err)
	// Output:
	// TCP
	// peer credentials only available for Unix sockets, got TCP
}

// A socket that came from another process, as systemd passes one, is an
// *os.File.
func ExampleGetPeerCredentialsOf() {
	server, _, remove := exampleSocket()
	defer remove()
	file, err := server.File()
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	peer, err := peercred.GetPeerCredentialsOf(file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("same user:", int(peer.UID) == os.Geteuid())
	// Output: same user: true
}

func ExamplePeerCredentials_String() {
	peer := &peercred.PeerCredentials{PID: 12345, UID: 1000, GID: 1000}
	fmt.Println(peer)
	// Output: pid=12345 uid=1000 gid=1000
}

func ExampleErrPeerCredentialsUnavailable() {
	var err error = &peercred.ErrPeerCredentialsUnavailable{
		Platform: "windows",
		Reason:   "the system does not report the uid and gid of a socket's peer",
	}
	fmt.Println(errors.Is(err, errors.ErrUnsupported))
	// Output: true
}

// A rule about groups checks the effective group and the supplementary groups.
func ExampleGetPeerGroups() {
	server, _, remove := exampleSocket()
	defer remove()

	admitted := uint32(os.Getegid())
	peer, err := peercred.GetPeerCredentials(server)
	if err != nil {
		log.Fatal(err)
	}
	groups, err := peercred.GetPeerGroups(server)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}
	fmt.Println("admitted:", peer.GID == admitted || slices.Contains(groups, admitted))
	// Output: admitted: true
}

func ExampleGetPeerSecurityLabel() {
	server, _, remove := exampleSocket()
	defer remove()

	label, err := peercred.GetPeerSecurityLabel(server)
	if err != nil {
		log.Print(err) // no security module labels sockets here, mostly
	}
	fmt.Println("sshd:", err == nil && label == "system_u:system_r:sshd_t:s0")
	// Output: sshd: false
}

// The handle refers to the process that connected, even if another process has its pid now.
func ExampleOpenPeerProcess() {
	server, _, remove := exampleSocket()
	defer remove()

	process, err := peercred.OpenPeerProcess(server)
	if err != nil {
		log.Print(err) // not Linux, or one before 6.5, or the process is gone
	} else {
		defer process.Close()
		select {
		case <-process.Done():
			fmt.Println("the peer's process has ended")
		default:
		}
	}
	fmt.Println("gone:", errors.Is(err, os.ErrProcessDone))
	// Output: gone: false
}

// The findings in /proc are valid only if Inspect returns no error.
func ExamplePeerProcess_Inspect() {
	server, _, remove := exampleSocket()
	defer remove()

	var limits []byte
	process, err := peercred.OpenPeerProcess(server)
	if err == nil {
		defer process.Close()
		err = process.Inspect(func(procfs string) (err error) {
			limits, err = os.ReadFile(procfs + "/limits")
			return err
		})
	}
	if err != nil {
		limits = nil // they may be those of another process
	}
	log.Printf("%s", limits)
	fmt.Println("gone:", errors.Is(err, os.ErrProcessDone))
	// Output: gone: false
}

// The program that /proc names is for logs, and no basis for a decision.
func ExamplePeerProcess_Executable() {
	server, _, remove := exampleSocket()
	defer remove()

	peer, err := peercred.GetPeerCredentials(server)
	if err != nil {
		log.Fatal(err)
	}
	if process, err := peercred.OpenPeerProcess(server); err == nil {
		defer process.Close()
		if file, path, err := process.Executable(); err == nil {
			defer file.Close()
			if info, err := file.Stat(); err == nil {
				log.Printf("%s runs %q, of %d bytes", peer, path, info.Size())
			}
		}
	}
	fmt.Println("admitted:", peer.UID == uint32(os.Geteuid()))
	// Output: admitted: true
}

// Compare the token with the credentials before you pass it to Apple's code-signing calls.
func ExampleGetPeerAuditToken() {
	server, _, remove := exampleSocket()
	defer remove()

	peer, err := peercred.GetPeerCredentials(server)
	if err != nil {
		log.Fatal(err)
	}
	token, err := peercred.GetPeerAuditToken(server)
	fmt.Println("of another user:", err == nil && token.EUID() != peer.UID)
	// Output: of another user: false
}

// A server that must use TCP admits the clients of its own user. If the kernel does not
// answer, it admits nobody.
func ExampleGetLoopbackPeerUID() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	uid, err := peercred.GetLoopbackPeerUID(conn)
	if err != nil {
		log.Print(err)
	}
	admitted := err == nil && uid == uint32(os.Geteuid())
	fmt.Println("admitted, or not known:", admitted || err != nil)
	// Output: admitted, or not known: true
}

func ExampleSupport() {
	support := peercred.Support()
	if !support.Groups.Available {
		log.Printf("groups cannot be asked here: %s", support.Groups.Reason)
	}
	fmt.Println("a pid comes without a reason why not:", support.PID.Available == (support.PID.Reason == ""))
	// Output: a pid comes without a reason why not: true
}
