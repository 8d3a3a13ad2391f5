//go:build unix && (cgo || (!android && !ios))

package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/user"
	"strconv"
	"time"

	"example.com/peercred/guard"
)

// api answers requests. Its JSON is documented with the command.
type api struct {
	rules  *liveRules
	tokens *tokens
	audit  auditor
}

func newAPI(rules *liveRules, audit auditor) *api {
	return &api{rules, newTokens(maxTokensOfUser, maxTokens), audit}
}

// credentials are the answer of GET /v1/credentials.
type credentials struct {
	UID       uint32    `json:"uid"`
	User      string    `json:"user,omitempty"`
	Token     string    `json:"token"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// introspection is the answer of POST /v1/introspect. For a token that is not active it has
// nothing else.
type introspection struct {
	Active    bool       `json:"active"`
	UID       *uint32    `json:"uid,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

const maxBody = 4096

// handler decides on each request by the current rules: whether its client may use any
// route, and then whether it may use this one.
func (a *api) handler() http.Handler {
	known := routes{
		"/v1/credentials": a.require(a.rules.users(), only(http.MethodGet, a.credentials)),
		"/v1/introspect":  a.require(a.rules.verifiers(), only(http.MethodPost, a.introspect)),
	}
	return a.audit.requests(known, a.require(a.rules.anyone(), known))
}

// routes are handlers by path. An http.ServeMux would also redirect, and repeat the path
// that the client chose.
type routes map[string]http.Handler

func (rs routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, ok := rs[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	handler.ServeHTTP(w, r)
}

func (a *api) require(policy guard.Policy, next http.Handler) http.Handler {
	return guard.Require(policy, a.audit.denied)(next)
}

// only takes one method, and no query. It takes no HEAD for a GET: that would issue a token
// that nobody gets.
func only(method string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		next(w, r)
	})
}

func (a *api) credentials(w http.ResponseWriter, r *http.Request) {
	peer, known := guard.FromContext(r.Context())
	if !known { // not behind require
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	rules := a.rules.get()
	grants := rules.grants(peer)
	if len(grants) == 0 { // by rules that were read after the request was admitted
		w.WriteHeader(http.StatusForbidden)
		return
	}
	secret, t, err := a.tokens.issue(peer.Credentials().UID, grants, rules.lifetime)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	reply(w, credentials{UID: t.uid, User: nameOf(t.uid), Token: secret, IssuedAt: t.issued, ExpiresAt: t.expires})
}

// nameOf returns "" for a uid without a name.
func nameOf(uid uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

func (a *api) introspect(w http.ResponseWriter, r *http.Request) {
	secret, err := readSecret(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		w.WriteHeader(statusOfBody(err))
		return
	}
	reply(w, a.look(secret))
}

// look decides by the current rules. A user that they no longer name has no credentials.
func (a *api) look(secret string) introspection {
	t := a.tokens.find(secret)
	if t == nil || !a.rules.get().grantAny(t.grants) {
		return introspection{}
	}
	return introspection{Active: true, UID: &t.uid, ExpiresAt: &t.expires}
}

func readSecret(body io.Reader) (string, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	if err := checkObject(text, []string{"token"}); err != nil {
		return "", err
	}
	var request struct {
		Token *string `json:"token"`
	}
	if err := json.Unmarshal(text, &request); err != nil {
		return "", err
	}
	if request.Token == nil {
		return "", errors.New("there is no token")
	}
	return *request.Token, nil
}

func statusOfBody(err error) int {
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func reply(w http.ResponseWriter, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(text, '\n'))
}
