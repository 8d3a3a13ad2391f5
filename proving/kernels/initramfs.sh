#!/bin/bash
# initramfs.sh KERNEL ARCH CC FILE: packs the tests of both settings, the kernel's modules, nft,
# the policies, and init; prints the kernel's release and path.
set -euo pipefail
arch=$2 cc=$3 file=$(realpath "$4")
cd "$(dirname "$0")"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fetched=$(./fetch.sh "$1" "$arch")
release=${fetched%% *} kernel=${fetched#* }
mkdir -p "$root"/{dev,etc,lib/modules/"$release",policies,proc,sbin,sys,tmp}
cp init "$root/init"
find "$kernel" -name '*.ko*' -exec cp -t "$root/lib/modules/$release" {} +
ln -s /busybox "$root/sbin/modprobe" # the kernel calls it
busybox=$(./fetch.sh 6.1 "$arch" busybox-static)
cp "$busybox/bin/busybox" "$root/busybox"
nft=$(./fetch.sh 6.1 "$arch" nftables libnftables1 libnftnl11 libmnl0 libxtables12 libjansson4 libgmp10 libedit2 libbsd0 libmd0 libtinfo6 libc6)
(cd "$nft" && find . -name '*.so.*' -o -name nft -type f | cpio -pd --quiet "$root")
printf 'root:x:0:0:root:/:\ndaemon:x:1:1:daemon:/:\n' >"$root/etc/passwd"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
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
echo "$release $(find "$kernel" -name 'vmlinuz*')"
