//go:build cgo || (!android && !ios)

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"example.com/peercred/guard"
)

// allowed collects the policies of the --allow flags.
type allowed []guard.Policy

const allowSynopsis = "[--allow-user NAME] [--allow-group NAME] [--allow-uid N]"

// addAllowFlags adds flags that can be given more than once.
func addAllowFlags(flags *flag.FlagSet) *allowed {
	var a allowed
	flags.Func("allow-user", "admit the user `NAME`; further --allow flags admit more; all others are denied", func(name string) error {
		return a.add(guard.Users(name))
	})
	flags.Func("allow-group", "admit processes that have the group `NAME`, as their effective or a supplementary group", func(name string) error {
		return a.add(guard.GroupNames(name))
	})
	flags.Func("allow-uid", "admit the user with the id `N`", func(text string) error {
		uid, err := strconv.ParseUint(text, 10, 32)
		if err != nil || uid == 1<<32-1 {
			return errors.New("want a number from 0 to 4294967294")
		}
		return a.add(guard.UIDs(uint32(uid)), nil)
	})
	return &a
}

func (a *allowed) add(policy guard.Policy, err error) error {
	if err == nil {
		*a = append(*a, policy)
	}
	return err
}

// policy admits everybody if no flag was given, because the command shows who connects.
func (a allowed) policy() guard.Policy {
	if len(a) == 0 {
		return guard.Func("anybody", func(guard.Peer) error { return nil })
	}
	return guard.AnyOf(a...)
}

// showDenied returns a hook that shows denied peers.
func showDenied(command string, stderr io.Writer) func(*guard.Denied) {
	return func(d *guard.Denied) { fmt.Fprintf(stderr, "peercred %s: %v\n", command, d) }
}
