//go:build cgo || (!android && !ios)

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// peer is what is shown about a peer: what the kernel says, and the names as of now in the
// user database.
type peer struct {
	*peercred.PeerCredentials
	User   string  `json:"user,omitempty"`
	Group  string  `json:"group,omitempty"`
	Groups []group `json:"groups,omitzero"` // nil if they are not reported
	Label  string  `json:"security_label,omitempty"`
	// The following are as of now, not as of connect time.
	Executable string    `json:"executable,omitempty"`
	StartTime  time.Time `json:"start_time,omitzero"`
	// Unavailable has the reason for each of the facts that is missing.
	Unavailable map[string]string `json:"unavailable,omitempty"`
}

type group struct {
	GID  uint32 `json:"gid"`
	Name string `json:"name,omitempty"`
}

// describe asks for all facts about a peer. A missing fact has a reason.
//
// It looks at the process first, because the process can end. It looks up names last,
// because that can take long.
func describe(known guard.Peer) peer {
	p := peer{PeerCredentials: known.Credentials()}
	p.describeProcess(known)
	groups, err := known.Groups()
	if p.has("groups", err) {
		p.Groups = newGroups(groups)
	}
	label, err := known.SecurityLabel()
	if p.has("security_label", err) {
		p.Label = label
	}
	p.User, p.Group = userName(p.UID), groupName(p.GID)
	return p
}

// maxNamed bounds how many groups are looked up and shown in a line. A peer can have 65,536
// groups, and must not keep others waiting.
const maxNamed = 64

func newGroups(gids []uint32) []group {
	groups := []group{}
	for n, gid := range gids {
		g := group{GID: gid}
		if n < maxNamed {
			g.Name = groupName(gid)
		}
		groups = append(groups, g)
	}
	return groups
}

func userName(uid uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

func groupName(gid uint32) string {
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
	if err != nil {
		return ""
	}
	return g.Name
}

func (p *peer) describeProcess(known guard.Peer) {
	process, err := known.Process()
	if err != nil {
		p.has("executable", err)
		p.has("start_time", err)
		return
	}
	path, err := process.ExecutablePath()
	if p.has("executable", err) {
		p.Executable = path
	}
	started, err := process.StartTime()
	if p.has("start_time", err) {
		p.StartTime = started
	}
}

// has reports whether a fact is there. If it is missing, has records the reason.
func (p *peer) has(fact string, err error) bool {
	if err == nil {
		return true
	}
	if p.Unavailable == nil {
		p.Unavailable = map[string]string{}
	}
	p.Unavailable[fact] = reason(err)
	return false
}

// reason says why a fact is missing. It leaves out what differs between peers, so that the
// same reason is the same footnote.
func reason(err error) string {
	if unavailable, ok := errors.AsType[*peercred.ErrPeerCredentialsUnavailable](err); ok {
		return unavailable.Reason
	}
	if _, ok := errors.AsType[*peercred.ErrPeerProcessGone](err); ok {
		return new(peercred.ErrPeerProcessGone).Error()
	}
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err.Error()
	}
	text := fmt.Sprintf("%s of the process: %v", filepath.Base(path.Path), path.Err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		text += " (it requires the same user, or CAP_SYS_PTRACE)"
	case errors.Is(err, fs.ErrNotExist):
		text += " (it has no program now: it is ending, or executing another)"
	}
	return text
}

// text returns p as a line, and adds the reasons for missing facts to notes. Most systems
// label no sockets, so a missing label is left out of the line and noted once.
func (p peer) text(notes *footnotes) string {
	or := func(fact, value string) string {
		if reason, ok := p.Unavailable[fact]; ok {
			return notes.missing(reason)
		}
		return value
	}
	label := " label=" + quoted(p.Label)
	if reason, ok := p.Unavailable["security_label"]; ok {
		label = ""
		notes.once("no security label: " + reason)
	}
	return fmt.Sprintf("pid=%d uid=%d%s gid=%d%s groups=%s%s exe=%s start=%s",
		p.PID, p.UID, inBrackets(p.User), p.GID, inBrackets(p.Group), or("groups", groupsText(p.Groups)), label,
		or("executable", quoted(p.Executable)), or("start_time", p.StartTime.UTC().Format(time.RFC3339)))
}

func groupsText(groups []group) string {
	if len(groups) == 0 {
		return "none"
	}
	var texts []string
	for _, g := range groups[:min(len(groups), maxNamed)] {
		texts = append(texts, strconv.FormatUint(uint64(g.GID), 10)+inBrackets(g.Name))
	}
	text := strings.Join(texts, ",")
	if more := len(groups) - maxNamed; more > 0 {
		text += fmt.Sprintf(",and-%d-more", more)
	}
	return text
}

// quoted quotes text that a peer chose, such as its path or its label, if it could look
// like something else: another field, another line, a command to the terminal.
func quoted(text string) string {
	plain := func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '"' && r != unicode.ReplacementChar
	}
	missing := strings.HasPrefix(text, "-") // see footnotes.missing
	if text != "" && !missing && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return strconv.Quote(text)
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return "(" + name + ")"
}

// show prints p as a line of text, with the footnotes that are new, or of JSON.
func (p peer) show(w io.Writer, asJSON bool, notes *footnotes) error {
	if asJSON {
		return json.NewEncoder(w).Encode(p)
	}
	if _, err := fmt.Fprintln(w, p.text(notes)); err != nil {
		return err
	}
	return notes.print(w)
}
