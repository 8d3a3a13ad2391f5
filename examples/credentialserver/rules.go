//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/peercred/guard"
)

// rules say who is served. They do not change.
type rules struct {
	users     guard.Policy
	eachUser  []guard.Policy // users one by one, a rule for each name
	verifiers guard.Policy
	lifetime  time.Duration
}

// anyone admits peers that may use any route.
func (r *rules) anyone() guard.Policy { return guard.AnyOf(r.users, r.verifiers) }

// mostGrants is how many rules are stored with a token.
const mostGrants = 16

// grants returns the rules for single names that admit a user, as text with the name and its
// id. If there are many, it returns the first ones.
func (r *rules) grants(p guard.Peer) (rules []string) {
	for _, rule := range r.eachUser {
		if len(rules) < mostGrants && rule.Allow(p) == nil {
			rules = append(rules, rule.String())
		}
	}
	return rules
}

// grantAny reports whether one of the rules that granted a token still exists.
func (r *rules) grantAny(grants []string) bool {
	return slices.ContainsFunc(r.eachUser, func(p guard.Policy) bool { return slices.Contains(grants, p.String()) })
}

// named are people by name.
type named struct {
	Users  []string `json:"users"`
	Groups []string `json:"groups"`
}

// rulesText is the JSON form of rules.
type rulesText struct {
	named
	Lifetime  *duration `json:"lifetime"`
	Verifiers named     `json:"verifiers"`
}

// ruleKeys are all keys that rulesText has.
var ruleKeys = []string{"users", "groups", "lifetime", "verifiers"}

const (
	defaultLifetime  = 15 * time.Minute
	shortestLifetime = 10 * time.Second
	longestLifetime  = 24 * time.Hour
)

// parseRules reads rules and looks up the names in them.
func parseRules(text []byte) (*rules, error) {
	parsed, err := parseRulesText(text)
	if err != nil {
		return nil, err
	}
	lifetime := defaultLifetime
	if parsed.Lifetime != nil {
		lifetime = time.Duration(*parsed.Lifetime)
	}
	if lifetime < shortestLifetime || lifetime > longestLifetime {
		return nil, fmt.Errorf("the lifetime is %v: want %v to %v", lifetime, shortestLifetime, longestLifetime)
	}
	users, err := parsed.named.policy()
	if err != nil {
		return nil, err
	}
	eachUser, err := parsed.named.each()
	if err != nil {
		return nil, err
	}
	verifiers, err := parsed.Verifiers.policy()
	if err != nil {
		return nil, fmt.Errorf("verifiers: %w", err)
	}
	return &rules{users: users, eachUser: eachUser, verifiers: verifiers, lifetime: lifetime}, nil
}

// policy admits the users and groups that are named. If none is, it admits nobody.
func (n named) policy() (guard.Policy, error) {
	var policies []guard.Policy
	if len(n.Users) > 0 {
		users, err := guard.Users(n.Users...)
		if err != nil {
			return guard.Policy{}, err
		}
		policies = append(policies, users)
	}
	if len(n.Groups) > 0 {
		groups, err := guard.GroupNames(n.Groups...)
		if err != nil {
			return guard.Policy{}, err
		}
		policies = append(policies, groups)
	}
	if len(policies) == 1 {
		return policies[0], nil // which logs better
	}
	return guard.AnyOf(policies...), nil
}

// each are the policies for single names.
func (n named) each() (policies []guard.Policy, err error) {
	for _, list := range []struct {
		names  []string
		policy func(names ...string) (guard.Policy, error)
	}{{n.Users, guard.Users}, {n.Groups, guard.GroupNames}} {
		for _, name := range list.names {
			policy, err := list.policy(name)
			if err != nil {
				return nil, err
			}
			policies = append(policies, policy)
		}
	}
	return policies, nil
}

// parseRulesText takes one JSON object and nothing else.
func parseRulesText(text []byte) (parsed rulesText, err error) {
	if err := checkObject(text, ruleKeys); err != nil {
		return rulesText{}, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parsed); err != nil {
		return rulesText{}, err
	}
	return parsed, nil
}

// checkObject checks that text is one JSON object with only these keys, each at most once.
// encoding/json takes "USERS" for "users", and the last of two keys. A rule could be lost
// that way without an error.
func checkObject(text []byte, keys []string) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	first, err := decoder.Token()
	switch {
	case err == io.EOF:
		return errors.New("it is empty: want a JSON object")
	case err != nil:
		return err
	case first != json.Delim('{'):
		return errors.New("want a JSON object")
	}
	switch err := checkKeys(decoder, keys); {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// checkKeys reads the rest of an object, and the objects in it.
func checkKeys(decoder *json.Decoder, keys []string) error {
	var seen []string
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		switch {
		case !slices.Contains(keys, key):
			return fmt.Errorf("the key %q is unknown: want %q", key, keys)
		case slices.Contains(seen, key):
			return fmt.Errorf("the key %q is there twice", key)
		}
		seen = append(seen, key)
		if err := checkValue(decoder, keys); err != nil {
			return err
		}
	}
	_, err := decoder.Token() // the closing brace
	return err
}

// checkValue reads a value. It reads a list as a whole, because no list has objects.
func checkValue(decoder *json.Decoder, keys []string) error {
	token, err := decoder.Token()
	switch {
	case err != nil:
		return err
	case token == json.Delim('{'):
		return checkKeys(decoder, keys)
	case token != json.Delim('['):
		return nil
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		if _, ok := token.(string); !ok {
			return errors.New("want lists of names in quotes")
		}
	}
	_, err = decoder.Token() // the closing bracket
	return err
}

// duration is a duration in the notation of Go: "15m", "1h30m".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}
