#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bases.sh: make apply tried on every kernel source that Debian's suites offer,
# 6.12 and later: what applies, what builds, what passes the KUnit tests.
#
#   BASES_SUITES="suite ..."   where to look
#
# That a base does not take the framework is a result, not a failure; a failure is
# a base that takes it and then does not build, or does not pass. The base that
# the series is made for is only tried, since make kernel and make kunit do the rest.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$(dirname "$0")/lib-build.sh"

here=$(realpath "$(dirname "$0")")
work=$OUT/bases
store=$CACHE/bases
found=$work/found
oldest=6.12
read -ra suites <<<"${BASES_SUITES:-bookworm-backports trixie trixie-backports forky sid experimental}"
unset BASES_SUITES

# The mirrors that the machine uses already.
mirrors()
{
	apt-get --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/[^/]*/InRelease' .*|\1|p" | awk '!seen[$0]++'
}

# apt_of SUITE COMMAND...: a command of apt's that knows only this suite
apt_of()
{
	local dir=$OUT/tmp/apt.$1 command=$2

	shift 2
	"$command" -q -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
		-o APT::Update::Error-Mode=any -o "APT::Sandbox::User=$(id -un)" \
		-o APT::Update::Post-Invoke-Success::= -o APT::Update::Post-Invoke::= "$@"
}

# look_at SUITE: the sources it has, a line each: release, package's version, suite
look_at()
{
	local suite=$1 dir=$OUT/tmp/apt.$1 key=/usr/share/keyrings/debian-archive-keyring.gpg mirror name

	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	[ -e "$key" ] && key="[signed-by=$key] " || key=
	for mirror in $(mirrors); do
		echo "deb $key$mirror $suite main" >"$dir/sources.list"
		apt_of "$suite" apt-get update >"$work/$suite.log" 2>&1 || continue
		for name in $(apt_of "$suite" apt-cache pkgnames linux-source- | grep -E '^linux-source-[0-9]+\.[0-9]+$'); do
			printf '%s\t%s\t%s\n' "${name#linux-source-}" \
				"$(apt_of "$suite" apt-cache policy "$name" | sed -n 's/^ *Candidate: //p')" "$suite"
		done
		return 0
	done
	return 1
}

# fetch RELEASE VERSION SUITE: sets deb
fetch()
{
	local file="linux-source-$1_${2//:/%3a}_all.deb" dir

	for deb in "$CACHE/$file" "$store/$file"; do
		[ ! -e "$deb" ] || return 0
	done
	dir=$OUT/tmp/apt.$3
	echo "fetching linux-source-$1 $2 from suite $3 (about 150 MiB)"
	(cd "$dir" && apt_of "$3" apt-get download "linux-source-$1=$2") >"$work/fetch.log" 2>&1 || return 1
	mkdir -p "$store"
	mv "$dir/linux-source-$1"_*.deb "$store/.partial"
	dpkg-deb --fsys-tarfile "$store/.partial" 2>/dev/null | tar -t >/dev/null 2>&1 || return 1
	mv "$store/.partial" "$deb"
}

# unpack RELEASE DIR [MEMBER...]: all of $deb's source, or only these files
unpack()
{
	local release=$1 dir=$2 status=0

	shift 2
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	[ $# -eq 0 ] || printf '%s\n' "${@/#/linux-source-$release/}" >"$work/members"
	# A base need not have every file that is asked for.
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards "./usr/src/linux-source-$release.tar*" |
		tar -xJ --strip-components=1 -C "$dir.new" ${1+-T "$work/members"} 2>"$work/unpack.log" || status=$?
	[ -e "$dir.new/Makefile" ] || return 1
	((status == 0)) || [ $# -gt 0 ] || return 1
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

# hunks_of PATCH FILE: how many hunks the patch has for the file
hunks_of()
{
	awk -v want="$2" '
		/^\+\+\+ / { sub(/^\+\+\+ [^\/]*\//, ""); sub(/\t.*/, ""); on = $0 == want }
		/^@@ / && on { n++ }
		END { print n + 0 }' "$here/../patches/$1"
}

# count_misfits LOG: the hunks that tree.py says do not fit
count_misfits()
{
	local line patch rest n=0

	while IFS= read -r line; do
		patch=${line%%: *}
		rest=${line#*: }
		case $line in
		*": hunk "*)			n=$((n + 1)) ;;
		*": there is no such file")	n=$((n + $(hunks_of "$patch" "${rest%%: *}"))) ;;
		*)				n=$((n + 1)) ;;
		esac
	done < <(sed -n 's/^  \([^ ].*\.patch: .*\)/\1/p' "$1")
	echo "$n"
}

# version_of MAKEFILE: as 7.3.4
version_of()
{
	awk '/^(VERSION|PATCHLEVEL|SUBLEVEL) *= *[0-9]+$/ { v = v (v == "" ? "" : ".") $3 } END { print v }' "$1"
}

{ command -v apt-get && command -v dpkg-deb; } >/dev/null ||
	die "no apt-get here: the sources come from Debian's suites; try one of your own with make apply LINUX=dir"
mkdir -p "$work" "$OUT/tmp"
need_space "${NEED_MIB:-5000}" "fetching and unpacking other kernels"

: >"$found"
skipped=0
for suite in "${suites[@]}"; do
	if ! look_at "$suite" >>"$found"; then
		echo "suite $suite: cannot be read: $(grep -m 1 '^E:' "$work/$suite.log" || echo "no mirror has it")"
		skipped=$((skipped + 1))
	fi
done
[ -s "$found" ] || die "no suite of ${suites[*]} has a linux-source package: check the network"

# Of each release the newest, where several suites have it.
sort -t $'\t' -k 1,1V -k 2,2Vr "$found" | awk -F '\t' '!seen[$1]++' |
	while IFS=$'\t' read -r release rest; do
		! dpkg --compare-versions "$release" lt "$oldest" || continue
		printf '%s\t%s\n' "$release" "$rest"
	done >"$work/chosen"
[ -s "$work/chosen" ] || die "no suite of ${suites[*]} has Linux $oldest or later"

mapfile -t touched < <("$here/tree.py" files)
all=$(grep -ch '^@@ ' "$here"/../patches/*.patch | awk '{ n += $1 } END { print n }')
printf 'Linux\tsuite\thunks that fit\tbuilds\twarnings\tKUnit\n' >"$work/table"
passed=0 failed=0
while IFS=$'\t' read -r release version suite <&3; do
	start=$SECONDS
	log=$work/$release.log
	builds=- warnings=- tests=-
	if ! fetch "$release" "$version" "$suite"; then
		printf '%s\t%s\tnot fetched: %s\n' "$release" "$suite" "$(grep -m 1 '^E:' "$work/fetch.log" || echo 'broken package')" >>"$work/table"
		skipped=$((skipped + 1))
		continue
	fi
	# A small tree tells what fits.
	echo "Linux $release: unpacking what the framework touches"
	probe=$work/probe-$release
	unpack "$release" "$probe" Makefile Kconfig "${touched[@]}" ||
		die "$deb does not unpack: $(tail -n 1 "$work/unpack.log"): remove that file to fetch it again"
	exact=$(version_of "$probe/Makefile")
	fits=yes
	LINUX=$probe FORCE='' "$here/tree.py" apply >"$log.apply" 2>&1 || fits=no
	misfits=$(count_misfits "$log.apply")
	rough=$(grep -c 'fits only roughly' "$log.apply" || true)
	count="$((all - misfits)) of $all"
	((rough == 0)) || count+=" ($rough roughly)"
	rm -rf "$probe"
	if [ "$fits" = yes ] && [ "$exact" = "$(version_of "$OUT/base/Makefile")" ]; then
		# What make kernel builds, and make kunit runs.
		builds='is out/base'
		passed=$((passed + 1))
	elif [ "$fits" = yes ]; then
		tree=$work/linux-$release
		build=$tree/.build
		if [ "$version" != "$(cat "$work/$release.unpacked" 2>/dev/null)" ]; then
			echo "Linux $release: unpacking all of it"
			unpack "$release" "$tree" || die "$deb does not unpack: $(tail -n 1 "$work/unpack.log"): free space"
			echo "$version" >"$work/$release.unpacked"
		elif [ -e "$tree/.iommu-kdump" ]; then
			LINUX=$tree FORCE=1 "$here/tree.py" unapply >>"$log.apply" 2>&1
		fi
		LINUX=$tree FORCE='' "$here/tree.py" apply >>"$log.apply" 2>&1
		kernel_make "$tree" "$build" x86_64 "${CC:-gcc}"
		builds=yes
		if ! why=$(configure "$build" "$log.config" tinyconfig+rig INTEL_IOMMU=y AMD_IOMMU=y IOMMU_KDUMP=y); then
			builds="no: $why"
		else
			"${make[@]}" -k -j"$(nproc)" drivers/iommu/ >"$log" 2>&1 &
			watch $! "Linux $release" compiled "$log" ||
				builds="no: $(grep -m 1 -E ' error: |\*\*\* ' "$log" || tail -n 1 "$log")"
			warnings=$(found_warnings "$log" | wc -l)
		fi
		if [ "$builds" = yes ]; then
			kunit_of_tree "Linux $release" "$tree" "$work/kunit-$release" "$log.kunit"
		fi
		if [[ $builds = yes && $tests != FAILED* ]]; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
	else
		passed=$((passed + 1))
		echo "Linux $release does not take the framework: $misfits hunks do not fit, the first: $(sed -n 's/^  //p' "$log.apply" | head -n 1)"
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$exact" "$suite" "$count" "${builds:0:80}" "$warnings" "$tests" >>"$work/table"
	echo "Linux $release: done in $(elapsed "$start")"
done 3<"$work/chosen"

echo
print_table "$work/table"
echo "what does not fit: $work/RELEASE.log.apply"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
