//go:build linux

// Command benchmarks compares the cost of each question with baseline.json, and writes the
// documents about the results of the benchmarks.
//
//	go run . check    count, and fail if the costs are not the baseline's
//	go run . update   count, and write the baseline
//	go run . costs    count and print, in the setting of this build
//	go run . report   write RESULTS.md and chart.svg from results.txt
//
// Counting requires strace, valgrind and a C compiler.
package main

import (
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("benchmarks: ")
	if playRole() {
		return
	}
	commands := map[string]func() error{"check": check, "update": update, "costs": printCosts, "report": report}
	command, known := commands[strings.Join(os.Args[1:], " ")]
	if !known {
		log.Fatal("want one of check, update, costs and report")
	}
	if err := command(); err != nil {
		log.Fatal(err)
	}
}
