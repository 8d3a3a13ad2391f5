#!/bin/sh
# Runs the root's tests, with CGO_ENABLED=1 and 0, on gVisor, a kernel in a process.
#
# gVisor before November 2025 names the caller as every peer, which must be an error. Since
# then it must name peers under other ids correctly. It still confuses the ends of
# SOCK_SEQPACKET, which must be an error. gVisor reports no other fact: SO_PEERGROUPS,
# SO_PEERSEC and SO_PEERPIDFD answer ENOPROTOOPT. So only the tests of credentials run. Each
# must pass. TestTrap13Kernel must fail if it is told to expect the other release.
set -eu

usage="usage: gvisor.sh RUNSC|current, as root: RUNSC is gVisor's command; current builds a current one"
case ${1-} in
-h | --help) echo "$usage"; exit ;;
esac
test $# = 1 || { echo "$usage" >&2; exit 2; }
runsc=$1
fail() { echo "gvisor: $*" >&2; exit 1; }
test "$(id -u)" = 0 || fail "it must run as root, for gVisor and for peers under other ids"
if test "$runsc" = current; then # Go's checksum database vouches for it
	current=20260905.0
	folder=${XDG_CACHE_HOME:-$HOME/.cache}/peercred/gvisor-$current
	runsc=$folder/runsc
	test -x "$runsc" || {
		echo "building gVisor $current in $folder, which takes some minutes"
		GOBIN=$folder CGO_ENABLED=0 go install -ldflags "-X gvisor.dev/gvisor/runsc/version.version=release-$current" \
			gvisor.dev/gvisor/runsc@v0.0.0-20260905035102-160fafc42237
	}
fi
command -v "$runsc" >/dev/null || fail "there is no $runsc: apt-get install runsc"

release=$("$runsc" --version | sed -n 's/^runsc version //p')
date=$(echo "$release" | grep -o '20[0-9]\{6\}') || fail "$runsc reports no release with a date: '$release'"
old=PEERCRED_TEST_KERNEL_ANSWERS_FOR_CALLER=1 new=PEERCRED_TEST_KERNEL_CONFUSES_PACKET_ENDS=1
if test "$date" -lt 20251101; then
	expect=$old unlike=$new tests=TestTrap13Kernel
elif test "$date" -ge 20251201; then
	expect=$new unlike=$old
	tests="TestTrap13Kernel TestTrap13PacketEnds TestTrap04HighIDs TestClientSeesServer TestSetuidAfterConnect
		TestTrap06ConnectorIsNotWriter TestTrap07PeerGone TestInheritedDescriptor"
else
	fail "gVisor $release is of November 2025, and its correct answers are not known: take a later release"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$(dirname "$0")/../.."

# on_gvisor runs tests there: on_gvisor VARIABLE=VALUE TEST...
on_gvisor() (
	export "$1"; shift
	"$runsc" --network=none --ignore-cgroups do "$dir/peercred.test" -test.v -test.run="^($(echo "$@" | tr ' ' '|'))\$"
)

for cgo in 1 0; do
	echo "== gVisor $release, CGO_ENABLED=$cgo"
	CGO_ENABLED=$cgo go test -c -o "$dir/peercred.test" .
	on_gvisor $expect $tests >"$dir/log" 2>&1 || { cat "$dir/log"; fail "the tests failed"; }
	! grep -- '--- SKIP: ' "$dir/log" || fail "a test was skipped"
	for test in $tests; do
		grep -- "^--- PASS: $test (" "$dir/log" || { cat "$dir/log"; fail "$test did not run"; }
	done
	! on_gvisor $unlike TestTrap13Kernel >"$dir/log" 2>&1 || fail "TestTrap13Kernel passes whatever it expects"
	grep -q -- '^--- FAIL: TestTrap13Kernel (' "$dir/log" || { cat "$dir/log"; fail "TestTrap13Kernel did not run"; }
	echo "TestTrap13Kernel fails with $unlike, as it must"
done
