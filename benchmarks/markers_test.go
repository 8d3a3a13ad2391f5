//go:build linux

package main

import "testing"

func TestReplaceMarked(t *testing.T) {
	const text = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
	got, err := replaceMarked([]byte(text), []byte("\nnew\n\n"))
	if want := "before\n<!-- bench -->\nnew\n<!-- /bench -->\nafter\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if again, err := replaceMarked(got, []byte("new")); err != nil || string(again) != string(got) {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, text := range []string{
		"",
		"<!-- bench -->",
		"<!-- /bench --><!-- bench -->",
		"<!-- bench --><!-- bench --><!-- /bench -->",
	} {
		if got, err := replaceMarked([]byte(text), nil); err == nil {
			t.Errorf("%q became %q, want an error", text, got)
		}
	}
}
