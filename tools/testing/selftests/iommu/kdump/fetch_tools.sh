#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_tools.sh DIR: put what Debian has for crash dumps (kexec, makedumpfile, crash),
# with all that it depends on, into DIR/dump-tools, where each has a starter. The suite
# is newer than most machines, because these programs have to know the kernel.
# How, and what the exit status means: fetch_debian.sh.
set -euo pipefail

WHAT="the tools for dumps"
NAME=dump-tools
SUITES="forky"
PACKAGES=(kexec-tools makedumpfile crash)
NEED_MIB=400
DOWNLOAD_MIB=45

# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$(dirname "$0")/fetch_debian.sh"

write_starters()
{
	local program

	for program in usr/sbin/kexec usr/bin/makedumpfile usr/bin/crash; do
		[ -e "$1/root/$program" ] || program=${program/usr\/bin/usr\/sbin}
		cat >"$1/${program##*/}" <<END
#!/bin/sh
root=\$(dirname "\$(realpath "\$0")")/root
lib=\$root/usr/lib/x86_64-linux-gnu
exec "\$lib/ld-linux-x86-64.so.2" --library-path "\$lib" "\$root/$program" "\$@"
END
		chmod 755 "$1/${program##*/}"
	done
}

try()
{
	"$1/kexec" --version && "$1/makedumpfile" -v && "$1/crash" --version >/dev/null
}

[ $# = 1 ] || { echo "usage: fetch_tools.sh DIR" >&2; exit 2; }
fetch_into "$1" "${PACKAGES[@]}"
