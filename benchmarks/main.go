//go:build linux

// Command benchmarks measures what asking for a peer costs, beside the kernel's own
// answer, which is the limit, and beside the other libraries. It needs Linux, a C
// compiler and strace.
//
//	go run .           measures all, in less than five minutes, and writes RESULTS.md,
//	                   results.txt (for benchstat), chart.svg and a part of ../README.md
//	go run . -check    counts allocations, system calls and instructions, and fails if
//	                   they are not those of baseline.json
//	go run . -update   writes baseline.json
package main

import (
	"flag"
	"log"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("benchmarks: ")
	checking := flag.Bool("check", false, "compare with "+baselineFile+", in place of measuring")
	updating := flag.Bool("update", false, "write "+baselineFile)
	rounds := flag.Int("rounds", 20, "how often to measure every subject in turn")
	quiet := flag.Bool("n", false, "write no file")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		flag.Usage()
		log.Fatal("it takes no arguments")
	case *updating:
		err = update()
	case *checking:
		err = check()
	default:
		err = bench(*rounds, !*quiet)
	}
	if err != nil {
		log.Fatal(err)
	}
}
