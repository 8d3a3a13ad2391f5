#!/bin/bash
# need.sh "COMMAND PACKAGE..." ...: lists all missing commands, and the Debian packages that
# have them.
missing='' packages=''
for tool; do
	command -v "${tool%% *}" >/dev/null || { missing+=" ${tool%% *}" packages+=" ${tool#* }"; }
done
[ -z "$missing" ] || {
	echo "missing:$missing; apt-get install --no-install-recommends$packages" >&2
	exit 1
}
