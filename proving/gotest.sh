#!/bin/bash
# gotest.sh REASONS ARGUMENT...: runs go test with the arguments. It fails if a test fails,
# or is skipped for a reason that does not begin as the regexp REASONS.
set -euo pipefail
known=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# What is exported for go test is not for gotestsum.
GOARCH='' CC='' CGO_ENABLED=0 ${GOTESTSUM:?} --raw-command -- \
	env GOARCH="${GOARCH-}" CC="${CC-}" CGO_ENABLED="${CGO_ENABLED-}" go test -json -count=1 -timeout=45m "$@" | tee "$log"
if grep -q '^DONE 0 tests' "$log"; then
	echo "no test ran"
	exit 1
fi
awk -v known="^ +[^ ]+\\\\.go:[0-9]+: ($known)" '
	/^=== SKIP/ { skipped = $0; reason = ""; next }
	skipped && /^ / { reason = $0; next }
	skipped { if (reason !~ known) { print "skipped for no known reason:\n" skipped "\n" reason; bad = 1 } skipped = "" }
	END { exit bad }' "$log"
