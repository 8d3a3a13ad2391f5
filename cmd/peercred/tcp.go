//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"example.com/peercred/guard"
)

// networkOf splits ADDRESS. "tcp:" precedes the host and port of loopback TCP.
func networkOf(text string) (network, address string) {
	if address, ok := strings.CutPrefix(text, "tcp:"); ok {
		return "tcp", address
	}
	return "unix", text
}

// loopbackPeer is what is shown about a peer on loopback TCP. The kernel reports only the
// uid.
type loopbackPeer struct {
	UID     uint32         `json:"uid"`
	User    string         `json:"user,omitempty"`
	Address netip.AddrPort `json:"address"`
}

func (p loopbackPeer) show(w io.Writer, asJSON bool, _ *footnotes) error {
	if asJSON {
		return json.NewEncoder(w).Encode(p)
	}
	_, err := fmt.Fprintf(w, "uid=%d%s address=%v\n", p.UID, inBrackets(p.User), p.Address)
	return err
}

// shown is a peer of either kind.
type shown interface {
	show(w io.Writer, asJSON bool, notes *footnotes) error
}

// look asks for all facts about conn's peer.
func look(conn *guard.Conn) (shown, error) {
	if conn.Peer().Credentials() != nil {
		return describe(conn.Peer()), nil
	}
	uid, err := conn.Peer().UID()
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	return loopbackPeer{UID: uid, User: userName(uid), Address: address}, err
}

// clientsTurn is how long a client on TCP has to close its connection.
const clientsTurn = time.Second

// closeAfterClient lets a client on TCP close first. The kernel forgets our end when we close
// it, and the client could not find out who serves.
func closeAfterClient(conn *guard.Conn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(clientsTurn))
	_, _ = io.Copy(io.Discard, conn)
}

// connect limits the wait until a server on TCP accepts, because it is not known before.
func connect(ctx context.Context, network, address string, policy guard.Policy, timeout time.Duration) (*guard.Conn, error) {
	if network == "unix" {
		return guard.Dial(ctx, network, address, policy)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := guard.Dial(ctx, network, address, policy)
	denied, ok := errors.AsType[*guard.Denied](err)
	if ok && denied.Loopback != nil && denied.Loopback.UID == nil && !errors.Is(err, errors.ErrUnsupported) {
		err = fmt.Errorf("the server closed the connection before it was known (%w); it denied this user, or it has ended", err)
	}
	return conn, err
}
