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
)

const (
	maxTokensOfUser = 64      // a user who asks in a loop takes some 20 KiB of memory,
	maxTokens       = 1 << 16 // and one with many uids, as user namespaces give, some 20 MiB
	sweepEvery      = time.Minute
)

var errTooManyTokens = errors.New("too many tokens are kept")

// token is what is stored for a token. That is neither the secret itself nor the peer, which
// can have 65,536 groups.
type token struct {
	hash            [sha256.Size]byte
	uid             uint32
	grants          []string // the rules that it was issued by, see rules.grants
	issued, expires time.Time
}

// validAt uses the wall clock, in which expires was announced. The monotonic clock stops
// while the machine sleeps.
func (t *token) validAt(now time.Time) bool { return now.Before(t.expires) }

// tokens has all tokens that were issued and not swept yet.
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

// issue makes a token for a user. It returns the secret, and does not store it. If the user
// has too many tokens, the oldest is dropped. If all users together have too many, issue
// returns an error.
func (ts *tokens) issue(uid uint32, grants []string, lifetime time.Duration) (secret string, t *token, err error) {
	secret = newSecret()
	issued := time.Now().UTC().Truncate(time.Second) // which drops the monotonic clock
	t = &token{hash: sha256.Sum256([]byte(secret)), uid: uid, grants: grants, issued: issued, expires: issued.Add(lifetime)}

	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.sweep(time.Now())
	if of := ts.byUID[t.uid]; len(of) >= ts.mostOfUser {
		ts.drop(of[0])
	}
	if len(ts.byHash) >= ts.most {
		return "", nil, errTooManyTokens
	}
	ts.byHash[t.hash] = t
	ts.byUID[t.uid] = append(ts.byUID[t.uid], t)
	return secret, t, nil
}

// newSecret returns 256 random bits, in base64url.
func newSecret() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// find returns the token with this secret. It returns nil if there is none, and if it has
// expired.
func (ts *tokens) find(secret string) *token {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byHash[sha256.Sum256([]byte(secret))]
	if t == nil || !t.validAt(time.Now()) {
		return nil
	}
	return t
}

// sweep drops expired tokens, if it has not done so lately. The caller has the lock, and
// needs room for a new token.
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

// drop removes t. The caller has the lock.
func (ts *tokens) drop(t *token) {
	delete(ts.byHash, t.hash)
	of := ts.byUID[t.uid]
	if n := slices.Index(of, t); n >= 0 {
		of = slices.Delete(of, n, n+1)
	}
	if len(of) == 0 {
		delete(ts.byUID, t.uid)
		return
	}
	ts.byUID[t.uid] = of
}
