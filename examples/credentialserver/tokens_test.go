//go:build unix && (cgo || (!android && !ios))

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTokens(2, 2)
		time.Sleep(700 * time.Millisecond) // of a clock that stands still but for this
		secret, issued, err := ts.issue(1000, nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now().Truncate(time.Second); !issued.issued.Equal(now) || !issued.expires.Equal(now.Add(time.Minute)) || issued.issued.Location() != time.UTC {
			t.Errorf("issued %v, expires %v", issued.issued, issued.expires)
		}
		time.Sleep(time.Until(issued.expires) - time.Nanosecond)
		if ts.find(secret) != issued {
			t.Error("a token is not found before it expires")
		}
		time.Sleep(time.Nanosecond)
		if ts.find(secret) != nil {
			t.Error("a token is found when it expires")
		}
	})
}

func TestTokensAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTokens(10, 10)
		for _, step := range []struct {
			pause, lifetime time.Duration
			want            int
		}{
			{0, time.Hour, 1},
			{0, 10 * time.Second, 2},
			{0, 70 * time.Second, 3},
			{59 * time.Second, 10 * time.Second, 4}, // it is not time yet
			{time.Second, time.Hour, 4},
			{time.Minute, time.Hour, 3},
			{time.Hour, 10 * time.Second, 1},
		} {
			time.Sleep(step.pause)
			if _, _, err := ts.issue(1000, nil, step.lifetime); err != nil {
				t.Fatal(err)
			}
			if byHash, byUID := ts.sizes(); byHash != step.want || byUID != step.want {
				t.Errorf("%+v: %d and %d tokens are kept", step, byHash, byUID)
			}
		}
		ts.sweep(time.Now().Add(time.Hour))
		if len(ts.byHash) != 0 || len(ts.byUID) != 0 {
			t.Errorf("kept are %v and %v, want nothing", ts.byHash, ts.byUID)
		}
	})
}

// sizes returns how many tokens are stored, by either index.
func (ts *tokens) sizes() (byHash, byUID int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, of := range ts.byUID {
		byUID += len(of)
	}
	return len(ts.byHash), byUID
}

func TestTokensOfOneUser(t *testing.T) {
	ts := newTokens(3, 100)
	var secrets []string
	for range 5 {
		secret, _, err := ts.issue(1000, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	for n, secret := range secrets {
		if found := ts.find(secret) != nil; found != (n >= 2) {
			t.Errorf("token %d of 5 is kept: %v", n, found)
		}
	}
	if len(ts.byHash) != 3 {
		t.Errorf("%d tokens are kept, want 3", len(ts.byHash))
	}
}

// TestOldestTokenOfAnotherUserStays drops tokens of one user and not of another.
func TestOldestTokenOfAnotherUserStays(t *testing.T) {
	ts := newTokens(1, 100)
	issue := func(uid uint32) string {
		secret, _, err := ts.issue(uid, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	first, others, second := issue(1), issue(2), issue(1)
	if ts.find(first) != nil || ts.find(others) == nil || ts.find(second) == nil {
		t.Errorf("kept are %v, %v, %v; want false, true, true", ts.find(first) != nil, ts.find(others) != nil, ts.find(second) != nil)
	}
}

func TestTokensOfAll(t *testing.T) {
	ts := newTokens(100, 2)
	for n := range 4 {
		secret, issued, err := ts.issue(1000, nil, time.Hour)
		if n < 2 && err != nil {
			t.Error(err)
		}
		if n >= 2 && (secret != "" || issued != nil || !errors.Is(err, errTooManyTokens)) {
			t.Errorf("token %d: %q, %v, %v; want a refusal", n, secret, issued, err)
		}
	}
	if len(ts.byHash) != 2 {
		t.Errorf("%d tokens are kept, want 2", len(ts.byHash))
	}
}

// TestLimitsOfTokens has the server's own limits: 64 of each user, 65536 of all.
func TestLimitsOfTokens(t *testing.T) {
	ts := newAPI(nil, auditor{}).tokens
	secrets := map[uint32]string{} // the first of each user
	issue := func(uid uint32) error {
		secret, _, err := ts.issue(uid, nil, time.Hour)
		if secrets[uid] == "" {
			secrets[uid] = secret
		}
		return err
	}
	for uid := range uint32(1024) {
		for range 64 {
			if err := issue(uid); err != nil {
				t.Fatal(err)
			}
		}
		if ts.find(secrets[uid]) == nil {
			t.Fatalf("uid %d: the first of 64 tokens is not kept", uid)
		}
	}
	if err := issue(1024); !errors.Is(err, errTooManyTokens) {
		t.Errorf("one user more than there is room for: %v, want %v", err, errTooManyTokens)
	}
	if err := issue(7); err != nil || ts.find(secrets[7]) != nil {
		t.Errorf("one token more of a user who has 64: %v, and the oldest is kept: %v", err, ts.find(secrets[7]) != nil)
	}
	if byHash, byUID := ts.sizes(); byHash != 65536 || byUID != 65536 {
		t.Errorf("%d and %d tokens are kept, want 65536", byHash, byUID)
	}
}

func TestSecret(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		secret := newSecret()
		bits, err := base64.RawURLEncoding.DecodeString(secret)
		if err != nil || len(bits) != 32 || len(secret) != 43 || seen[secret] {
			t.Fatalf("%q: %d bytes, %v, seen %v", secret, len(bits), err, seen[secret])
		}
		seen[secret] = true
	}
}

func TestSecretIsNotKept(t *testing.T) {
	ts := newTokens(2, 2)
	secret, issued, err := ts.issue(1000, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if issued.hash != sha256.Sum256([]byte(secret)) {
		t.Error("a token is not kept by its SHA-256")
	}
	kept := fmt.Sprintf("%+v %+v %+v", *issued, ts.byHash, ts.byUID)
	if strings.Contains(kept, secret) || strings.Contains(kept, fmt.Sprint([]byte(secret))) {
		t.Errorf("the secret %q is kept: %s", secret, kept)
	}
	for _, wrong := range []string{"", secret[1:], secret + "A", strings.ToLower(secret), string(issued.hash[:])} {
		if ts.find(wrong) != nil {
			t.Errorf("%q is found", wrong)
		}
	}
}
