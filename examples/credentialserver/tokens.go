//go:build unix && (cgo || (!android && !ios))

package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/peercred/guard"
)

const (
	maxTokensOfUser = 64      // a user who asks in a loop does not eat memory,
	maxTokens       = 1 << 16 // and neither does one with many uids, as user namespaces give
	sweepEvery      = time.Minute
)

var errTooManyTokens = errors.New("too many tokens are kept")

// token is what is kept of one: not the secret itself.
type token struct {
	hash [sha256.Size]byte
	// peer is whom it was issued to. It is asked about after its connection was
	// closed, for what was asked while that was open (credentials and groups); a
	// policy that needs more refuses.
	peer            guard.Peer
	issued, expires time.Time
}

func (t *token) uid() uint32 { return t.peer.Credentials().UID }

// validAt goes by the clock that expires was announced in: unlike the monotonic one
// it does not stop while the machine sleeps.
func (t *token) validAt(now time.Time) bool { return now.Before(t.expires) }

// tokens are those that were issued and have not expired, or not been swept yet.
type tokens struct {
	mostOfUser, most int

	mu     sync.Mutex
	byHash map[[sha256.Size]byte]*token
	byUID  map[uint32][]*token // the oldest first
	swept  time.Time
}

func newTokens(mostOfUser, most int) *tokens {
	return &tokens{mostOfUser: mostOfUser, most: most, byHash: map[[sha256.Size]byte]*token{}, byUID: map[uint32][]*token{}}
}

// issue makes a token for peer. The secret is returned and forgotten. The oldest
// token of a user who has too many is dropped; too many of all users are an error.
func (ts *tokens) issue(peer guard.Peer, lifetime time.Duration) (secret string, t *token, err error) {
	secret = newSecret()
	issued := time.Now().UTC().Truncate(time.Second) // which drops the monotonic clock
	t = &token{hash: sha256.Sum256([]byte(secret)), peer: peer, issued: issued, expires: issued.Add(lifetime)}

	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.sweep(time.Now())
	if of := ts.byUID[t.uid()]; len(of) >= ts.mostOfUser {
		ts.drop(of[0])
	}
	if len(ts.byHash) >= ts.most {
		return "", nil, errTooManyTokens
	}
	ts.byHash[t.hash] = t
	ts.byUID[t.uid()] = append(ts.byUID[t.uid()], t)
	return secret, t, nil
}

// newSecret returns 256 random bits, in base64url.
func newSecret() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// find returns the token with this secret, nil if there is none or it has expired.
func (ts *tokens) find(secret string) *token {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byHash[sha256.Sum256([]byte(secret))]
	if t == nil || !t.validAt(time.Now()) {
		return nil
	}
	return t
}

// sweep drops expired tokens, if it has not done so lately; the caller has the lock.
// It is when tokens are issued that there must be room.
func (ts *tokens) sweep(now time.Time) {
	if now.Sub(ts.swept) < sweepEvery {
		return
	}
	ts.swept = now
	for _, t := range ts.byHash {
		if !t.validAt(now) {
			ts.drop(t)
		}
	}
}

// drop forgets t; the caller has the lock.
func (ts *tokens) drop(t *token) {
	delete(ts.byHash, t.hash)
	of := ts.byUID[t.uid()]
	if n := slices.Index(of, t); n >= 0 {
		of = slices.Delete(of, n, n+1)
	}
	if len(of) == 0 {
		delete(ts.byUID, t.uid())
		return
	}
	ts.byUID[t.uid()] = of
}
