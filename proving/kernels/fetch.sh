#!/bin/bash
# fetch.sh KERNEL ARCH: unpacks Debian's linux-image-ARCH, with few modules; prints its release and the folder.
# fetch.sh KERNEL ARCH PACKAGE...: unpacks packages from the kernel's release; prints the folder.
# apt verifies them, with separate sources and lists. They are kept under their versions.
set -euo pipefail
name=$1 arch=$2 cache=${XDG_CACHE_HOME:-$HOME/.cache}/peercred debian=http://deb.debian.org
state=$cache/apt/$name-$arch
mkdir -p "$state"/{lists,archives}/partial
case $name in
6.1) suites=("$debian/debian bookworm" "$debian/debian-security bookworm-security") ;;
6.12) suites=("$debian/debian bookworm-backports") ;;
newest) suites=("$debian/debian sid") ;;
esac
keyring=/usr/share/keyrings/debian-archive-keyring.gpg # of debian-archive-keyring
printf "deb [arch=$arch signed-by=$keyring target=Packages] %s main\n" "${suites[@]}" >"$state/sources.list"
: >"$state/status"
export APT_CONFIG=$state/apt.conf
cat >"$APT_CONFIG" <<END
APT::Architecture "$arch";
APT::Sandbox::User "root"; # it can read a home directory, and _apt cannot
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::SourceList "$state/sources.list";
Dir::Etc::SourceParts "-";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
END
if [ -z "$(find "$state/updated" -mmin -1440 2>/dev/null)" ]; then
	apt-get -qq update >&2
	touch "$state/updated"
fi
field() { apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n "s/^$2: //p"; }

files=('*') release=
if [ $# = 2 ]; then
	files=('*/vmlinuz*' '*_diag.ko*' '*/kernel/net/*/nf*.ko*' '*/kernel/net/xfrm/*' '*crc32c*.ko*')
	release=$(field "linux-image-$arch" Depends | sed -n 's/.*\blinux-image-\([0-9][^ ,]*\).*/\1/p')
	[[ $name = newest || $release = "$name".* ]] || { echo "linux-image-$arch is Linux $release, not $name" >&2; exit 1; }
	set -- "$1" "$2" "linux-modules-$release" "linux-binary-$release" # since 7.x
	[ -n "$(field "$3" Version)" ] || set -- "$1" "$2" "linux-image-$release"
fi
result=$cache/${release:+some-of-}$3-${arch}_$(field "$3" Version)
if ! [ -e "$result" ]; then
	part=$(mktemp -d -p "$cache")
	trap 'rm -rf "$part"' EXIT
	cd "$part"
	apt-get -qq download "${@:3}" >&2
	mkdir root
	for deb in *.deb; do dpkg-deb --fsys-tarfile "$deb"; done | tar -x --ignore-zeros -C root --wildcards "${files[@]}"
	mv root "$result" # at once, or not at all
fi
echo $release "$result"
