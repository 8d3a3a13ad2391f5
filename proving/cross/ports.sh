#!/bin/bash
# ports.sh MODULE...: vets the root for every port that Go knows, which also compiles it. It
# vets the modules for a few ports, because their dependencies are large.
set -euo pipefail
cd "$(dirname "$0")/../.."

# vet PORT checks one port. go vet links a test program. Go cannot do that for android and
# ios without cgo, except for android/arm64. Those are built, and vetted as linux and darwin.
vet() {
	export CGO_ENABLED=0 GOOS=${1%/*} GOARCH=${1#*/}
	local tags=
	case $1 in
	android/arm64) ;;
	android/* | ios/*)
		go build ./...
		tags=$GOOS
		case $GOOS in android) GOOS=linux ;; ios) GOOS=darwin ;; esac
		;;
	esac
	go vet -tags="$tags" ./...
	echo "cross: $1 vets"
}
if [ "${1-}" = vet ]; then vet "$2"; exit; fi

go tool dist list | xargs -P 2 -n 1 "$PWD/proving/cross/ports.sh" vet
for module; do
	for port in darwin/arm64 freebsd/amd64 windows/amd64; do
		(cd "$module" && CGO_ENABLED=0 GOOS=${port%/*} GOARCH=${port#*/} go vet ./...)
		echo "cross: $module vets for $port"
	done
done
CGO_ENABLED=1 go vet ./...
