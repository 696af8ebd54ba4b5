#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# base.sh: make $OUT/base an unmodified Linux $KERNEL.y: a copy of the tree
# LINUX, or what is in the archive LINUX_TARBALL, or the Debian package. Without
# LINUX and LINUX_TARBALL, a base that is there already is kept.
#
# $OUT/state/base.id says what the base was made from. It is written last, so a
# base without it is one that was interrupted, and is made again.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

BASE=$OUT/base
STATE=$OUT/state
NEW=$OUT/tmp/base
PACKAGE=linux-source-$KERNEL

trap 'rm -rf "$NEW" "$OUT/tmp/apt"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$STATE"

# kernel_version DIR: prints what DIR is, as 7.3.4, or nothing
kernel_version()
{
	awk '/^(VERSION|PATCHLEVEL|SUBLEVEL) *= *[0-9]+$/ { v = v (v == "" ? "" : ".") $3; n++ }
	     n == 3 { print v; exit }' "$1/Makefile" 2>/dev/null || true
}

# check_version DIR NAME
check_version()
{
	local version

	version=$(kernel_version "$1")
	[ -n "$version" ] || die "$2 is not a Linux source tree: it has no Makefile with a VERSION"
	case $version in
	"$KERNEL" | "$KERNEL".*) ;;
	*) die "$2 is Linux $version, the series is made for $KERNEL.y: give another one, or run make without LINUX and LINUX_TARBALL to fetch it" ;;
	esac
}

# The mirrors that the machine uses already. apt reads its own configuration
# here, whatever form its sources have, and needs neither lists nor network.
mirrors()
{
	apt-get --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/[^/]*/InRelease' .*|\1|p" | awk '!seen[$0]++'
}

# apt_private MIRROR COMMAND...: run apt-get on nothing but MIRROR's $SUITE
apt_private()
{
	local mirror=$1 dir=$OUT/tmp/apt key=/usr/share/keyrings/debian-archive-keyring.gpg

	shift
	rm -rf "$dir/sources.list"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	[ -e "$key" ] && key="[signed-by=$key] " || key=
	echo "deb $key$mirror $SUITE main" >"$dir/sources.list"
	apt-get -q -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
		-o APT::Update::Error-Mode=any -o "APT::Sandbox::User=$(id -un)" \
		-o APT::Update::Post-Invoke-Success::= -o APT::Update::Post-Invoke::= "$@"
}

# whole_package FILE: is this a package with all of its contents?
whole_package()
{
	dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -t >/dev/null 2>&1
}

# Sets $deb to the package, from the cache or the network.
fetch_package()
{
	local mirror found why log=$OUT/fetch.log

	mkdir -p "$CACHE"
	for deb in "$CACHE/${PACKAGE}"_*.deb; do
		[ -e "$deb" ] || continue
		whole_package "$deb" && return
		echo "removing $deb: it is broken"
		rm -f "$deb"
	done

	{ command -v apt-get && command -v dpkg-deb; } >/dev/null ||
		die "no apt-get here to fetch $PACKAGE: give a source with LINUX=dir or LINUX_TARBALL=file"
	: >"$log"
	found=$(mirrors)
	[ -n "$found" ] ||
		die "apt has no Debian mirror configured to fetch $PACKAGE from: add one, or give LINUX=dir or LINUX_TARBALL=file"
	for mirror in $found; do
		apt_private "$mirror" update >>"$log" 2>&1 || continue
		(cd "$OUT/tmp/apt" && apt_private "$mirror" --print-uris download "$PACKAGE") >>"$log" 2>&1 || continue
		echo "fetching $PACKAGE from the machine's Debian mirror, suite $SUITE (about 160 MiB)"
		(cd "$OUT/tmp/apt" && apt_private "$mirror" download "$PACKAGE") 2>&1 | tee -a "$log" || continue
		deb=$(compgen -G "$OUT/tmp/apt/${PACKAGE}_*.deb") || continue
		whole_package "$deb" || continue
		mv "$deb" "$CACHE/.partial"
		mv "$CACHE/.partial" "$CACHE/${deb##*/}"
		deb=$CACHE/${deb##*/}
		return
	done
	why=$(grep -m 1 -oE 'Temporary failure.*|Could not (resolve|connect).*|Unable to locate.*|No space left.*|NO_PUBKEY.*' "$log") ||
		why=$(tail -n 1 "$log")
	die "cannot fetch $PACKAGE (${why:0:120}): check the network, or give LINUX=dir or LINUX_TARBALL=file (log: $log)"
}

# unpack FILE DIR [TAR-OPTION...]: FILE may be - for stdin
unpack()
{
	local status=0

	mkdir -p "$2"
	tar -x --strip-components=1 --checkpoint=8000 --checkpoint-action=dot -C "$2" "${@:3}" -f "$1" || status=1
	echo
	return $status
}

# identity of what the user gave: changes when its content does
tree_id()
{
	if [ -e "$LINUX/.git" ]; then
		git -C "$LINUX" rev-parse HEAD
	else
		(cd "$LINUX" && find . -type f -printf '%p %s %T@\n' | sort | sha256sum)
	fi
}

# from_tree: copy a tree of the user's, which is only read
from_tree()
{
	local dirty

	check_version "$LINUX" "LINUX=$LINUX"
	if [ -e "$LINUX/.git" ]; then
		dirty=$(git -C "$LINUX" status --porcelain --untracked-files=no | head -n 3 | cut -c 4- | paste -sd ' ')
		[ -z "$dirty" ] ||
			die "LINUX=$LINUX has changes that are not committed ($dirty ...): commit or stash them"
		echo "copying the commit $(git -C "$LINUX" describe --always HEAD) of $LINUX"
		git -C "$LINUX" archive --prefix=linux/ HEAD | unpack - "$NEW"
		return
	fi
	[ -z "$(compgen -G "$LINUX/.config"; compgen -G "$LINUX/include/config")" ] ||
		die "LINUX=$LINUX has been built in: run make mrproper there first"
	[ ! -e "$LINUX/.iommu-kdump" ] ||
		die "LINUX=$LINUX has the framework in it: make unapply LINUX=$LINUX first"
	echo "copying $LINUX"
	mkdir -p "$NEW"
	cp -a --reflink=auto "$LINUX/." "$NEW"
}

from_tarball()
{
	[ -r "$LINUX_TARBALL" ] || die "cannot read LINUX_TARBALL=$LINUX_TARBALL"
	printf 'unpacking %s ' "$LINUX_TARBALL"
	unpack "$LINUX_TARBALL" "$NEW" 2>"$OUT/fetch.log" ||
		die "LINUX_TARBALL=$LINUX_TARBALL does not unpack: $(tail -n 1 "$OUT/fetch.log")"
	check_version "$NEW" "LINUX_TARBALL=$LINUX_TARBALL"
}

from_package()
{
	fetch_package
	printf 'unpacking %s ' "${deb##*/}"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards "./usr/src/$PACKAGE.tar*" |
		unpack - "$NEW" -J 2>"$OUT/fetch.log" ||
		die "$deb does not unpack: $(tail -n 1 "$OUT/fetch.log"): free space, or remove that file to fetch it again"
	check_version "$NEW" "$deb"
}

if [ -n "${LINUX:-}" ] && [ -n "${LINUX_TARBALL:-}" ]; then
	die "LINUX and LINUX_TARBALL are both given: give one"
elif [ -n "${LINUX:-}" ]; then
	LINUX=$(realpath -e "${LINUX/#~\//$HOME/}" 2>/dev/null) || die "LINUX names a directory that does not exist"
	id="tree $LINUX $(tree_id)"
	how=from_tree
elif [ -n "${LINUX_TARBALL:-}" ]; then
	id="archive $(stat -c '%n %s %Y' "$LINUX_TARBALL" 2>/dev/null || echo "$LINUX_TARBALL")"
	how=from_tarball
else
	[ ! -e "$STATE/base.id" ] || exit 0
	id="package $PACKAGE"
	how=from_package
fi
[ "$id" != "$(cat "$STATE/base.id" 2>/dev/null)" ] || exit 0

# Another base under a tree with edits would lose them.
"$(dirname "$0")/tree.py" tree --only-check

need_space "${NEED_MIB:-6000}" "unpacking and building Linux"
"$how"

# What is replaced goes in one step each, and is removed with $OUT/tmp.
rm -f "$STATE/base.id"
[ ! -e "$OUT/linux" ] || mv "$OUT/linux" "$OUT/tmp/old-linux"
rm -f "$STATE/laid.json" "$STATE/laying.json"
[ ! -e "$BASE" ] || mv "$BASE" "$OUT/tmp/old-base"
mv "$NEW" "$BASE"
"$(dirname "$0")/tree.py" list-base
echo "$id" >"$STATE/base.id"
echo "base: Linux $(kernel_version "$BASE")"
