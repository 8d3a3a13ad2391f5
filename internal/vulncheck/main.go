//go:build cgo || (!android && !ios)

// Command vulncheck tells whether a database of vulnerabilities can be believed. One that
// lacks what everyone knows, or that is old, finds none, and that would mean nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"time"
)

// oldest is how long ago a database may have been modified at most.
const oldest = 120 * 24 * time.Hour

const usage = `usage: govulncheck -db=DB -mode=query -json MODULE | go run ./internal/vulncheck -known CVE

Reads what govulncheck says of a module, and fails if the database does not have the known
vulnerability of it, or was not modified for long.
`

func main() {
	log.SetFlags(0)
	log.SetPrefix("vulncheck: ")
	known := flag.String("known", "", "the `name` of a vulnerability that every database has")
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage); flag.PrintDefaults() }
	flag.Parse()
	if *known == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	said, err := judge(os.Stdin, *known, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("vulncheck: " + said)
}

// message is what of govulncheck's messages matters here.
type message struct {
	Config struct {
		DB       string
		Modified time.Time `json:"db_last_modified"`
	}
	OSV struct{ Aliases []string }
}

// judge says how old the database is, or why it cannot be believed.
func judge(messages io.Reader, known string, now time.Time) (said string, err error) {
	var all message // the config comes once
	knows := false
	for decoder := json.NewDecoder(messages); ; {
		err := decoder.Decode(&all)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("not what govulncheck says: %w", err)
		}
		knows = knows || slices.Contains(all.OSV.Aliases, known)
	}
	db, modified := all.Config.DB, all.Config.Modified
	said = fmt.Sprintf("%s was last modified on %s, %d days ago", db, modified.Format(time.DateOnly), now.Sub(modified)/(24*time.Hour))
	switch {
	case !knows:
		return "", fmt.Errorf("%s does not have %s, so it cannot be believed", db, known)
	case modified.IsZero():
		return "", fmt.Errorf("%s does not say when it was modified, so it cannot be believed", db)
	case modified.Sub(now) > time.Hour: // by which clocks differ
		return "", fmt.Errorf("%s was modified on %s, which is to come: is the clock right?", db, modified.Format(time.DateOnly))
	case now.Sub(modified) > oldest:
		return "", fmt.Errorf("%s, and what became known since is not in it: run \"make vulncheck\" where https://vuln.go.dev can be reached, "+
			"or \"make vulncheck-offline\" where the module proxy has a later golang.org/x/vulndb", said)
	}
	return said, nil
}
