# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts beside this file.

# die MESSAGE...: the one line that says what to do next
die()
{
	echo "error: $*" >&2
	exit 1
}

# need_space MIB PURPOSE: refuse early rather than stop half way
need_space()
{
	local free

	free=$(df --output=avail --block-size=1M "$OUT" | tail -n 1)
	free=${free// /}
	((free >= $1)) ||
		die "$2 needs $1 MiB, the disk of $OUT has $free MiB free: free some, or move the repository"
}

# repeatable_builds [DIR]: the same input has to give the same objects, wherever and
# whenever it is built; DIR is what the compiler cache takes for no part of the input
repeatable_builds()
{
	export CCACHE_NOHASHDIR=1 LC_ALL=C
	export KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC' KBUILD_BUILD_VERSION=1
	export KBUILD_BUILD_USER=kdump KBUILD_BUILD_HOST=localhost
	[ -z "${1:-}" ] || { CCACHE_BASEDIR=$(realpath "$1") && export CCACHE_BASEDIR; }
}

# kunit_config ARCH: what its tests of KUnit are configured by, in the tree
kunit_config()
{
	local own=

	[ "$1" = x86_64 ] || own=$1
	echo "drivers/iommu/kdump/$own.kunitconfig"
}

# fast_cache: what is not in the compiler cache costs hardly more than without it. The
# compiler is asked which files it has read, instead of a preprocessor before it. What is
# found is only what was compiled with the same headers, the configuration among them:
# not for what builds many configurations.
fast_cache()
{
	export CCACHE_DEPEND=1
}

# elapsed START: the time since START (of $SECONDS), as 1m02s
elapsed()
{
	local t=$((SECONDS - $1))

	printf '%dm%02ds' $((t / 60)) $((t % 60))
}

# watch PID WHAT COMMAND...: say how far a process in the background is, with
# the line that COMMAND prints; ends with the status of the process
watch()
{
	local pid=$1 what=$2 start=$SECONDS shown=$SECONDS every=30

	shift 2
	[ ! -t 1 ] || every=2
	while kill -0 "$pid" 2>/dev/null; do
		if ((SECONDS - shown >= every)); then
			if [ -t 1 ]; then
				printf '\r\033[K%s: %s, %s ' "$what" "$("$@")" "$(elapsed "$start")"
			else
				echo "$what: $("$@"), $(elapsed "$start")"
			fi
			shown=$SECONDS
		fi
		sleep 0.5
	done
	[ ! -t 1 ] || printf '\r\033[K'
	wait "$pid"
}
