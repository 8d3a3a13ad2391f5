#!/bin/bash
# arch.sh [ARCH...]: runs the tests for other processors, in both settings, under qemu-user.
# Zig compiles C for loong64 (in ZIG_DIR), and Debian's cross compilers for all others.
set -euo pipefail

# emulate QEMU BINARY ARGUMENT... executes the test binary. A test binary starts itself
# again, so binfmt_misc must tell the kernel which emulator to run. Since Linux 6.7 a user
# namespace can have a binfmt_misc of its own, so nothing changes on this machine.
emulate() {
	header=$(od -An -v -tx1 -N20 "$2" | tr -d '\n' | sed 's/ /\\x/g') # of ELF, up to e_machine
	ff='\xff\xff' mask='\x00\x00\x00\x00'
	# F: the emulator is opened now. P: it is told argv[0].
	export RULE=":peercred:M:0:$header:$ff$ff$ff$mask$mask$mask$ff:$(command -v "$1"):FP"
	coproc map { read -r && echo '0 0 4294967295' | tee /proc/$$/uid_map >/proc/$$/gid_map; }
	exec 8<"/dev/fd/${map[0]}" 9>"/dev/fd/${map[1]}" # bash would close the descriptors themselves
	exec unshare --user --mount bash -ec 'echo >&9; cat <&8; exec 8<&- 9>&-
		mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
		printf %s "$RULE" >/proc/sys/fs/binfmt_misc/register; unset RULE; exec "$@"' - "${@:2}"
}
if [ "${1-}" = emulate ]; then emulate "${@:2}"; fi

# The calls that qemu-user does not emulate.
skips='
# clone(2) fails with flags for namespaces.
^TestTrap04PIDZeroFromAnotherNamespace$|^TestUserNamespaces$|^TestTrap07PIDReuse$|^TestProcessInAnotherPIDNamespace$
^TestProcessGoneInAnotherPIDNamespace$|^TestProcessInANamespaceBelow$|^TestProcessUnderARestrictedProc$
^TestOverflowIDs$|^TestDirectoryOfOverflowID$|^TestDemoWithoutOtherUsers$
# getsockopt(SO_PEERGROUPS) is asked for one int. With two groups it fails with EPROTO.
^TestGroups$/^unix(packet)?,_(17|64|65|65536)$|^TestGroupsAllocateOnce$
^TestPoliciesOnRealPeers$/^(group_2424|group_27_or_1|any_of_\(uid_0;_group_27\))$|^TestListenShowsAllFacts$
# ioctl(PIDFD_GET_INFO) fails with ENOSYS.
^TestProcess$|^TestCurrentIDsInOrder$
# /proc/PID/exe is the emulator, and its arguments precede those of the program.
^TestProcessFacts$|^TestExecutableRemoved$|^TestProcessThatExecutes$
# qemu-ppc64le reports some nil dereferences at 0x10101, which Go does not recover from.
^TestNothingToAsk$|^TestNothingToAskOf$
# setsockopt of an option that it does not know fails with ENOPROTOOPT, whatever the descriptor.
^TestDescriptorsThatCannotBeRefused$
'
known='needs seccomp filters|needs an int that holds the number of all ids|needs a profile of AppArmor|needs a policy of SELinux'
emulated='|needs SO_PASSRIGHTS, |needs unix_diag|needs tcp_diag|needs raw sockets|needs PIDFD_GET_INFO, |needs system calls of its own, '

# Per processor: the emulator, the C compiler, and its packages.
declare -A table=(
	[386]='- i686-linux-gnu-gcc gcc-i686-linux-gnu libc6-dev-i386-cross'
	[arm]='qemu-arm arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf libc6-dev-armhf-cross'
	[arm64]='qemu-aarch64 aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross'
	[loong64]='qemu-loongarch64 python3 python3'
	[mips64le]='qemu-mips64el mips64el-linux-gnuabi64-gcc gcc-mips64el-linux-gnuabi64 libc6-dev-mips64el-cross'
	[mipsle]='qemu-mipsel mipsel-linux-gnu-gcc gcc-mipsel-linux-gnu libc6-dev-mipsel-cross'
	[ppc64le]='qemu-ppc64le powerpc64le-linux-gnu-gcc gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross'
	[riscv64]='qemu-riscv64 riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu libc6-dev-riscv64-cross'
	[s390x]='qemu-s390x s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross' # big-endian
)
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(printf '%s\n' "${!table[@]}" | sort)
tools=("strace strace" "unshare util-linux")
for arch; do
	[ -n "${table[$arch]-}" ] || { echo "no processor $arch; there are ${!table[*]}" >&2; exit 2; }
	read -r qemu cc packages <<<"${table[$arch]}"
	tools+=("$cc $packages")
	[ $qemu = - ] || tools+=("$qemu qemu-user")
done
proving/need.sh "${tools[@]}"
[ "$(id -u)" = 0 ] || { echo "it needs root, for peers with other ids" >&2; exit 1; }
for test in $(grep -o 'Test[A-Za-z0-9]*' <<<"$skips"); do # each name must be that of a test
	git grep -q "^func $test(" -- '*_test.go' || { echo "$test is to be skipped, and there is no such test" >&2; exit 1; }
done
failed=
for arch; do
	read -r qemu cc packages <<<"${table[$arch]}"
	# Zig's musl uses vectors, which its qemu does not have.
	[ $arch != loong64 ] || cc='python3 -m ziglang cc -target loongarch64-linux-musl -mcpu=la64v1_0-lsx-lasx'
	export PYTHONPATH=${ZIG_DIR-} GOARCH=$arch CC=$cc PEERCRED_TEST_CC="$cc -static" PEERCRED_TEST_EMULATOR=
	reasons=$known flags=(-vet=off)
	if [ $qemu != - ] && [ $arch != "$(go env GOHOSTARCH)" ]; then
		PEERCRED_TEST_EMULATOR=qemu-user reasons+=$emulated
		flags+=(-exec "$PWD/proving/arch.sh emulate $qemu" -skip "$(grep '^^' <<<"$skips" | paste -sd'|')")
	fi
	for cgo in 0 1; do
		echo "== $arch, CGO_ENABLED=$cgo"
		[ $cgo = 0 ] || flags+=(-tags=netgo,osusergo '-ldflags=-linkmode external -extldflags -static')
		CGO_ENABLED=$cgo proving/gotest.sh "$reasons" "${flags[@]}" . ./guard ./native ./cpeercred ./cmd/peercred ||
			failed+=" $arch/CGO_ENABLED=$cgo"
	done
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
