#!/bin/sh
# Measures everything in ROUNDS rounds, and writes results.txt (for benchstat),
# RESULTS.md and chart.svg. In each round the builds with and without cgo take turns.
set -eu
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT

# size prints the KiB that asking adds to a server: size NAME LDFLAGS
size() {
	for tag in silent asking; do go build -tags "$tag" -ldflags "$2" -o "$bin/$tag" ./server; done
	echo "BenchmarkSize/$1/over=one_that_does_not_ask 1 $((($(wc -c <"$bin/asking") - $(wc -c <"$bin/silent")) / 1024)) KiB"
}

measure() {
	echo "go: $(go env GOVERSION)"
	echo "kernel: $(uname -sr)"
	echo "date: $(date +%F)"
	for setting in cgo native; do
		if test $setting = cgo; then export CGO_ENABLED=1; else export CGO_ENABLED=0; fi
		echo "setting: $setting"
		size a_server_that_asks ''
		size a_server_that_asks,_stripped '-s -w'
		go test -c -o "$bin/$setting" .
	done
	for round in $(seq "$ROUNDS"); do
		echo "round $round of $ROUNDS" >&2
		for setting in cgo native; do
			echo "setting: $setting"
			"$bin/$setting" -test.bench . -test.benchtime "$BENCHTIME" -test.timeout 10m
		done
	done
}

: "${ROUNDS:=20}" "${BENCHTIME:=200ms}"
measure >results.txt
go run . report
go tool benchstat -filter .unit:ratio -row .fullname -col setting results.txt
