#!/bin/bash
# libc.sh [REGEXP]: runs the tests with cgo, built by gcc and clang, with glibc and musl, and
# under the sanitizers. First the program planted checks which libc is linked, and that the
# sanitizer catches a bug. REGEXP chooses builds by their titles.
set -euo pipefail
only=${1-}
cd "$(dirname "$0")/.."
proving/need.sh "gcc gcc libc6-dev" "clang clang libclang-rt-14-dev" "musl-gcc musl-tools" "readelf binutils" "strace strace"
[ "$(id -u)" = 0 ] || { echo "it needs root, for peers with other ids" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
planted=$work/planted failed= ran=

# run TITLE LIBC BUG REPORT FLAG...: builds with CC and the flags, and tests.
run() {
	local title="${CC%% *}, $1" libc=$2 bug=$3 report=$4 static=no
	shift 4
	[[ $title =~ $only ]] || return 0
	echo "== $title"
	[[ "$*" != *-static* ]] || static=yes
	ran=yes
	(cd proving && go build -o "$planted" "$@" ./planted) || return 1
	"$planted" libc | tee "$work/out" && grep -q "^$libc" "$work/out" || { echo "the libc is not $libc"; return 1; }
	[ $static = "$(readelf -l "$planted" | grep -q INTERP && echo no || echo yes)" ] || { echo "static is not $static"; return 1; }
	if [ -n "$bug" ]; then
		! "$planted" "$bug" >"$work/out" 2>&1 && grep "$report" "$work/out" || { echo "the planted bug $bug is not caught"; return 1; }
	fi
	proving/gotest.sh 'needs a profile of AppArmor|needs a policy of SELinux|needs forged lengths to reach it, ' \
		-vet=off "$@" . ./cpeercred ./guard
}
try() { run "$@" || failed+="; ${CC%% *}, $1"; }

export CGO_ENABLED=1 CC
static=(-tags=netgo,osusergo '-ldflags=-linkmode external -extldflags -static')
musl=$(uname -m)-linux-musl
CC=musl-gcc try 'static musl' musl '' '' "${static[@]}"
CC="clang -nostdinc -isystem $(clang -print-resource-dir)/include -isystem /usr/include/$musl -B/usr/lib/$musl -L/usr/lib/$musl -Wno-unused-command-line-argument" \
	try 'static musl' musl '' '' "${static[@]}"
for CC in gcc clang; do
	try glibc glibc '' ''
	# The shims allocate nothing, and a process under strace cannot look for leaks.
	ASAN_OPTIONS=detect_leaks=0 PEERCRED_TEST_SANITIZER=AddressSanitizer \
		try AddressSanitizer glibc beyond 'AddressSanitizer: heap-buffer-overflow' -asan
	CGO_CFLAGS='-O2 -g -fsanitize=undefined -fno-sanitize-recover=all' CGO_LDFLAGS=-fsanitize=undefined \
		try UndefinedBehaviorSanitizer glibc overflow 'runtime error: signed integer overflow'
done
PEERCRED_TEST_SANITIZER=MemorySanitizer try MemorySanitizer glibc uninitialized 'MemorySanitizer: use-of-uninitialized-value' -msan
try 'race detector' glibc race 'WARNING: DATA RACE' -race
[ -n "$ran" ] || { echo "no build's title matches $only" >&2; exit 2; }
[ -z "$failed" ] || { echo "failed${failed/;/:}"; exit 1; }
