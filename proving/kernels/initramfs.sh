#!/bin/bash
# initramfs.sh ARCH CC FILE: packs the tests of both settings, the policies, and init.
set -euo pipefail
arch=$1 cc=$2 file=$(realpath "$3")
cd "$(dirname "$0")"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{dev,etc,policies,proc,sys,tmp}
cp init "$root/init"
busybox=$(./fetch.sh 6.1 "$arch" busybox-static)
cp "$busybox/bin/busybox" "$root/busybox"
printf 'root:x:0:0:root:/:\ndaemon:x:1:1:daemon:/:\n' >"$root/etc/passwd"
printf 'root:x:0:\ndaemon:x:1:\n' >"$root/etc/group"

# This is the newest parser, because the installed one may not know the newest kernel. It
# compiles for the features of the kernel in the machine.
apparmor=$(./fetch.sh newest "$(dpkg --print-architecture)" apparmor libapparmor1 libc6 libgcc-s1 libstdc++6 libzstd1)
loader=$(echo "$apparmor"/usr/lib/*/ld-linux*.so.*)
for abi in 3.0 5.0; do
	"$loader" --library-path "${loader%/*}" "$apparmor/usr/sbin/apparmor_parser" --config-file=/dev/null --stdout \
		--skip-kernel-load --skip-cache --features-file="$apparmor/etc/apparmor.d/abi/$abi" \
		<apparmor.profiles >"$root/policies/apparmor-$abi"
done
secilc --filecontext=/dev/null --output="$root/policies/selinux" selinux.cil

cd ../..
export GOOS=linux GOARCH=$arch CC=$cc
for cgo in 1 0; do
	flags=(-ldflags '-s -w')
	[ $cgo = 0 ] || flags=(-tags netgo,osusergo -ldflags '-s -w -linkmode external -extldflags -static')
	mkdir -p "$root/tests/$cgo"
	CGO_ENABLED=$cgo go test -c -o "$root/tests/$cgo/" "${flags[@]}" . ./cpeercred ./native ./guard
done
cd "$root"
find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet >"$file"
