//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"example.com/peercred/guard"
	"golang.org/x/sys/unix"
)

// door is a listener, where clients of all kinds come.
type door struct {
	Network, Address string
	Guarded          bool
	listener         net.Listener
}

// openDoors opens one of each kind: with and without a guard, a path and an abstract
// name, for streams and for packets.
func openDoors(dir, prefix string, denied func(*guard.Denied)) ([]*door, error) {
	doors := []*door{
		{Network: "unix", Address: prefix + "stream"},
		{Network: "unixpacket", Address: filepath.Join(dir, "packet")},
		{Network: "unix", Address: filepath.Join(dir, "guarded"), Guarded: true},
		{Network: "unixpacket", Address: prefix + "guarded", Guarded: true},
	}
	configs := map[*door]guard.Config{
		doors[2]: {
			Mode:   0o666,
			Policy: guard.UIDs(users[0].uid, users[1].uid),
			OnDeny: denied,
		},
		doors[3]: {
			Policy: guard.AnyOf(guard.UIDs(users[0].uid), guard.AllOf(guard.GIDs(users[1].gid), guard.UIDs(users[1].uid))),
			OnDeny: denied, Prefetch: guard.PrefetchGroups | guard.PrefetchSecurityLabel | guard.PrefetchProcess,
		},
	}
	for _, d := range doors {
		if err := d.open(configs[d]); err != nil {
			return nil, errors.Join(err, closeDoors(doors))
		}
	}
	return doors, nil
}

func (d *door) open(config guard.Config) (err error) {
	if d.Guarded {
		d.listener, err = guard.Listen(context.Background(), d.Network, d.Address, config)
		return err
	}
	if d.listener, err = net.Listen(d.Network, d.Address); err != nil || strings.HasPrefix(d.Address, "@") {
		return err
	}
	return unix.Chmod(d.Address, 0o666)
}

func closeDoors(doors []*door) (err error) {
	for _, d := range doors {
		if d.listener != nil {
			err = errors.Join(err, d.listener.Close())
		}
	}
	return err
}

// ring returns when everything has been accepted that came before, by coming itself:
// the kernel keeps the order.
func (d *door) ring(claim string, t *tally) error {
	conn, err := d.dial(claim, t)
	if err != nil {
		return fmt.Errorf("ring at the door: %w", err)
	}
	defer conn.Close()
	if err := conn.CloseWrite(); err != nil {
		return fmt.Errorf("ring at the door: %w", err)
	}
	said, err := hearOut(conn) // until it has been served, or refused
	if d.Guarded {
		t.check("visits of the server itself", said == welcome, err, said, welcome)
	}
	return nil
}

// hearOut returns all that was said until the other end closed. It reads on after the
// first end, since on a packet connection that can come before a packet which is there
// to be read: Linux reports a reset first, and the end of file too if the packet and the
// close both come between its look at the queue and its look at the state
// (__unix_dgram_recvmsg in net/unix/af_unix.c).
func hearOut(conn io.Reader) (string, error) {
	said, err := io.ReadAll(conn)
	rest, _ := io.ReadAll(conn)
	return string(said) + string(rest), err
}

// dial knocks again while too many wait to be accepted.
func (d *door) dial(claim string, t *tally) (*net.UnixConn, error) {
	for {
		conn, err := net.DialUnix(d.Network, &net.UnixAddr{Name: claim, Net: d.Network}, &net.UnixAddr{Name: d.Address, Net: d.Network})
		if !errors.Is(err, unix.EAGAIN) {
			return conn, err
		}
		t.failed("connect", err)
		time.Sleep(time.Millisecond)
	}
}

// A claim says whose connection it is, and the how manieth. It is the name to which
// the client binds its end, which the server learns whatever becomes of the client.
func claimOf(claims string, number, n uint64) string {
	return claims + strconv.FormatUint(number, 10) + "." + strconv.FormatUint(n, 10)
}

// ourselves is the number of the server among its peers.
const ourselves = 0

func parseClaim(claims, claim string) (number, n uint64, err error) {
	text, ok := strings.CutPrefix(claim, claims)
	first, second, dot := strings.Cut(text, ".")
	if !ok || !dot {
		return 0, 0, fmt.Errorf("a connection without a claim, from %q", claim)
	}
	number, err = strconv.ParseUint(first, 10, 64)
	if err != nil {
		return 0, 0, err
	}
	n, err = strconv.ParseUint(second, 10, 64)
	return number, n, err
}
