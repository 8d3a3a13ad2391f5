#!/bin/bash
# fuzz.sh [corpora]: fuzzes each target of Go and the C shims of each system for FUZZTIME.
# With "corpora" it fuzzes only the shims, and then minimises the new inputs into the corpora
# of this tree. CROSS is the command that builds the fuzzers. PEERCRED_SHIMS is the folder of
# the programs that the Go targets run. libFuzzer keeps new inputs outside the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${XDG_CACHE_HOME:-$HOME/.cache}/peercred/fuzz
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go reports a failure if the time ends during an execution (golang.org/issue/75804).
fuzz_go() {
	local file target
	while IFS=: read -r file target; do
		target=${target#func }
		(cd "$(dirname "$file")" && go test -tags shims -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x -parallel 2 .) </dev/null >"$log" 2>&1 ||
			grep -A1 -m1 '^--- FAIL' "$log" | grep -qx ' *context deadline exceeded' || { cat "$log"; exit 1; }
		echo "fuzz: $target: $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
	done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z]+' .)
}

fuzz_c() {
	mkdir -p "$folder"
	$CROSS fuzzer "$folder"
	local seconds=${FUZZTIME%s}
	for fuzzer in "$folder"/*; do
		[ -f "$fuzzer" ] && [ -x "$fuzzer" ] || continue
		rm -rf "$fuzzer.corpus"
		mkdir -p "$fuzzer.corpus" "$fuzzer.learnt"
		grep -shv '^#' cpeercred/testdata/fuzz/*/"${fuzzer##*/}.hex" | python3 -c '
import sys, pathlib
for n, line in enumerate(sys.stdin):
    pathlib.Path(sys.argv[1], str(n)).write_bytes(bytes.fromhex(line))' "$fuzzer.corpus"
		"$fuzzer" -max_total_time=$((${seconds/m/*60})) -max_len=512 -artifact_prefix="$fuzzer-" "$fuzzer.learnt" "$fuzzer.corpus" >"$log" 2>&1 ||
			{ grep -v -e '^#' -e NEW_FUNC -e '^INFO' "$log"; echo "fuzz: run $fuzzer with that file"; exit 1; }
		echo "fuzz: the C shims of ${fuzzer##*/}: $(tail -1 "$log")"
		[ -z "${1-}" ] || minimise "$fuzzer"
	done
}

minimise() {
	rm -rf "$1.merged"
	mkdir "$1.merged"
	"$1" -set_cover_merge=1 -max_len=512 -use_counters=0 "$1.merged" "$1.corpus" "$1.learnt" 2>"$log"
	for entry in "$1.merged"/*; do
		od -An -v -tx1 "$entry" | tr -d ' \n'
		echo
	done | awk '{ print length, $0 }' | sort -k1n -k2 | cut -d' ' -f2 >"cpeercred/testdata/fuzz/corpus/${1##*/}.hex"
}

[ -n "${1-}" ] || fuzz_go
fuzz_c "${1-}"
