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

// token is what is kept of one: not the secret itself, and not the peer, who may have
// 65,536 groups.
type token struct {
	hash            [sha256.Size]byte
	uid             uint32
	grants          []string // the rules that it was issued by, see rules.grants
	issued, expires time.Time
}

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

// issue makes a token for a user. The secret is returned and forgotten. The oldest
// token of a user who has too many is dropped; too many of all users are an error.
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
