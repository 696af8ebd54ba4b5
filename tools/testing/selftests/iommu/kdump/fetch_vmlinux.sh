#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_vmlinux.sh DIR RELEASE: put the debug information of one of Debian's own kernels
# ("6.12.1+deb13-amd64") into DIR/vmlinux-RELEASE/vmlinux, for crash(8).
# How, and what the exit status means: fetch_debian.sh.
set -euo pipefail

[ $# = 2 ] || { echo "usage: fetch_vmlinux.sh DIR RELEASE" >&2; exit 2; }
RELEASE=$2
WHAT="debug information of Linux $RELEASE"
NAME=vmlinux-$RELEASE
SUITES="bookworm trixie trixie-backports forky"
NEED_MIB=2500
DOWNLOAD_MIB=1100

# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$(dirname "$0")/fetch_debian.sh"

choose()
{
	grep -xF "linux-image-$RELEASE-dbg"
}

# The modules' are ten times as large.
unpack()
{
	mkdir -p "$2"
	dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards '*/vmlinux*'
}

write_starters()
{
	find "$1/root" -type f -name 'vmlinux*' -exec mv {} "$1/vmlinux" \;
	rm -rf "$1/root"
}

try()
{
	[ -s "$1/vmlinux" ] && echo "$RELEASE"
}

fetch_into "$1"
