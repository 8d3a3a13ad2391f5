#!/bin/bash
# gotest.sh REASONS ARGUMENT...: runs go test with the arguments, from the module's root. It
# fails if a test fails, if none passes, or if one is skipped for a reason that does not
# begin as the regexp REASONS.
set -euo pipefail
known=$1
shift
json=$(mktemp)
trap 'rm -f "$json"' EXIT
# These variables are for go test, and not for gotestsum.
GOARCH='' CC='' CGO_ENABLED=0 ${GOTESTSUM:?} --jsonfile "$json" --raw-command -- \
	env GOARCH="${GOARCH-}" CC="${CC-}" CGO_ENABLED="${CGO_ENABLED-}" go test -json -count=1 -timeout=45m "$@"
grep -q '"Action":"pass".*"Test":' "$json" || { echo "no test passed"; exit 1; }
if .ci/skipped "$json" | grep -vE "^skipped +[0-9]+: ($known)"; then
	echo "the tests were skipped for no known reason"
	exit 1
fi
