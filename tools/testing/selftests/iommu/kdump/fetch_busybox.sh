#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_busybox.sh DIR ARCHITECTURE: put Debian's busybox for a guest of another
# architecture (Debian's name of it: riscv64, arm64) into DIR/busybox-ARCHITECTURE/busybox.
# How, and what the exit status means: fetch_debian.sh.
set -euo pipefail

[ $# = 2 ] || { echo "usage: fetch_busybox.sh DIR ARCHITECTURE" >&2; exit 2; }
ARCHITECTURE=$2
WHAT="busybox for $ARCHITECTURE"
NAME=busybox-$ARCHITECTURE
SUITES=trixie
NEED_MIB=150
DOWNLOAD_MIB=20

# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$(dirname "$0")/fetch_debian.sh"

# static: what it depends on is of no use
choose()
{
	grep -x busybox-static
}

write_starters()
{
	mv "$1/root/usr/bin/busybox" "$1/busybox"
	rm -rf "$1/root"
}

# it does not run on this machine
try()
{
	readelf -h "$1/busybox" >/dev/null
}

fetch_into "$1"
