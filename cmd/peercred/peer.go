//go:build cgo || (!android && !ios)

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/user"
	"strconv"

	"example.com/peercred"
)

// peer is what is shown of a peer: what the kernel says, and the names that the
// user database has for it at this moment.
type peer struct {
	*peercred.PeerCredentials
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
}

func newPeer(credentials *peercred.PeerCredentials) peer {
	p := peer{PeerCredentials: credentials}
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10)); err == nil {
		p.User = u.Username
	}
	if g, err := user.LookupGroupId(strconv.FormatUint(uint64(p.GID), 10)); err == nil {
		p.Group = g.Name
	}
	return p
}

func (p peer) String() string {
	return fmt.Sprintf("pid=%d uid=%d%s gid=%d%s", p.PID, p.UID, inBrackets(p.User), p.GID, inBrackets(p.Group))
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return "(" + name + ")"
}

// show prints p as a line of text, or of JSON.
func (p peer) show(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(p)
	}
	_, err := fmt.Fprintln(w, p)
	return err
}
