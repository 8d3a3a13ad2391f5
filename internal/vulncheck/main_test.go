//go:build cgo || (!android && !ios)

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	const (
		known  = `{"osv": {"id": "GO-2022-0969", "modified": "0001-01-01T00:00:00Z", "aliases": ["CVE-2022-27664", "GHSA-69cg-p879-7622"]}}`
		config = `{"config": {"protocol_version": "v1.0.0", "db": "file:///db", "db_last_modified": "2026-11-05T23:49:57Z"}}`
		good   = config + `{"progress": {"message": "Looking up"}}` + known + `{"osv": {"id": "GO-2023-1"}}`
		old    = "file:///db was last modified on 2026-11-05, 120 days ago, and what became known since is not in it: " +
			`run "make vulncheck" where https://vuln.go.dev can be reached, or "make vulncheck-offline" where the module proxy has a later golang.org/x/vulndb`
	)
	for _, test := range []struct {
		name, messages, now string
		said, fails         string
	}{
		{"a good one", good, "2026-11-25T10:00:00Z", "file:///db was last modified on 2026-11-05, 19 days ago", ""},
		{"as old as may be", good, "2027-03-05T23:49:57Z", "file:///db was last modified on 2026-11-05, 120 days ago", ""},
		{"an old one", good, "2027-03-05T23:49:58Z", "", old},
		{"one of tomorrow", good, "2026-11-04T10:00:00Z", "", "file:///db was modified on 2026-11-05, which is to come: is the clock right?"},
		{"one that knows nothing", config, "2026-11-25T10:00:00Z", "", "file:///db does not have CVE-2022-27664, so it cannot be believed"},
		{"one without a date", strings.Replace(good, "2026-11-05T23:49:57Z", "0001-01-01T00:00:00Z", 1), "2026-11-25T10:00:00Z", "",
			"file:///db does not say when it was modified, so it cannot be believed"},
		{"none", "", "2026-11-25T10:00:00Z", "", " does not have CVE-2022-27664, so it cannot be believed"},
		{"cut off", good + `{"osv": `, "2026-11-25T10:00:00Z", "", "not what govulncheck says: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, test.now)
			if err != nil {
				t.Fatal(err)
			}
			said, err := judge(strings.NewReader(test.messages), "CVE-2022-27664", now)
			fails := ""
			if err != nil {
				fails = err.Error()
			}
			if diff := cmp.Diff([]string{test.said, test.fails}, []string{said, fails}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
