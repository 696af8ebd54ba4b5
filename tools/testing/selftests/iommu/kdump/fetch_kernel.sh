#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_kernel.sh DIR VERSION: put Debian's own kernel of this version ("6.12"), with its
# modules, into DIR/stock-VERSION: vmlinuz, config, and root/ with lib/modules. Taken is
# the newest that any of the suites has.
# How, and what the exit status means: fetch_debian.sh.
set -euo pipefail

[ $# = 2 ] || { echo "usage: fetch_kernel.sh DIR VERSION" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
WHAT="Debian's Linux $2"
VERSION=$2
NAME=stock-$VERSION
SUITES="bookworm trixie trixie-backports forky"
NEED_MIB=1000
DOWNLOAD_MIB=110

# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$(dirname "$0")/fetch_debian.sh"

# Neither those for clouds and for real time, nor those without a signature. Since 7.x the
# image and the modules have packages of their own.
choose()
{
	local version=${VERSION//./[.]} names newest

	names=$(grep -E "^linux-(image|base|binary|modules)-${version}[.].*[0-9]-amd64\$" |
		grep -vE -- '-(cloud|rt|unsigned)-')
	newest=$(sed -n 's/^linux-image-//p' <<<"$names" | sort -V | tail -n 1)
	[ -z "$newest" ] || grep -E -- "^linux-[a-z]*-${newest//[.+]/.}\$" <<<"$names"
}

# Nothing is started: what the package's own installation would do is done here.
write_starters()
{
	local release modules

	[ -e "$1/root/lib" ] || ln -s usr/lib "$1/root/lib"
	release=$(basename "$1"/root/lib/modules/*)
	modules=$1/root/lib/modules/$release
	depmod -b "$1/root" "$release"
	mv "$1/root/boot/vmlinuz-$release" "$1/vmlinuz" 2>/dev/null ||
		mv "$modules/vmlinuz" "$1/vmlinuz"
	mv "$1/root/boot/config-$release" "$1/config" 2>/dev/null ||
		mv "$modules/config" "$1/config"
	echo "$release" >"$1/release"
}

try()
{
	[ -s "$1/vmlinuz" ] && [ -s "$1/root/lib/modules/$(cat "$1/release")/modules.dep" ] &&
		cat "$1/release"
}

fetch_into "$1"
