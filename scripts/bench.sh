#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh: build what the benchmarks run on, run them, print one table.
#
#   PARTS=kunit,files,map,panic   only some of them
#   PAIRS=20                      pairs of boots for the wall time from panic to dump
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
here=$(realpath "$(dirname "$0")")
# shellcheck source=scripts/lib-build.sh
. "$here/lib-build.sh"

cc=${CC:-gcc}
unset CC
need_space "${NEED_MIB:-4000}" "building kernels for the benchmarks"
mkdir -p "$OUT/build"

# compile NAME TARGETS: what has been configured
compile()
{
	local name=$1 targets=$2 log=$OUT/build/bench-$1.log start=$SECONDS

	# shellcheck disable=SC2086
	"${make[@]}" -j"$(nproc)" $targets >>"$log" 2>&1 &
	if ! watch $! "$name kernel" compiled "$log"; then
		found_warnings "$log" | head -n 10 >&2
		die "the $name kernel does not build: see $log"
	fi
	echo "$name kernel: built in $(elapsed "$start"): out/build/bench-$name"
}

# guest_kernel NAME SOURCE [OPTION...]: as kernel.sh makes the other two
guest_kernel()
{
	local name=$1 build=$OUT/build/bench-$1 source=$2 why

	shift 2
	kernel_make "$source" "$build" x86_64 "$cc"
	why=$(configure "$build" "$OUT/build/bench-$name.log" tinyconfig+rig "$@") ||
		die "the $name kernel cannot be configured: $why"
	compile "$name" "bzImage modules"
}

# kunit.py knows what a kernel in QEMU needs, apart from the options that are asked for.
kunit_kernel()
{
	local build=$OUT/build/bench-kunit log=$OUT/build/bench-kunit.log

	mkdir -p "$build"
	(cd "$OUT/linux" && tools/testing/kunit/kunit.py config --arch=x86_64 "--build_dir=$build" \
		--kunitconfig=drivers/iommu/kdump/bench.kunitconfig "--make_options=CC=$cc" \
		"--make_options=LOCALVERSION=") >"$log" 2>&1 ||
		die "the KUnit kernel cannot be configured: see $log"
	kernel_make "$OUT/linux" "$build" x86_64 "$cc"
	compile kunit bzImage
}

guest_kernel off "$OUT/linux" IOMMU_KDUMP=n
kunit_kernel

python3 "$here/bench.py" --out "$OUT" --kunit "$OUT/build/bench-kunit" \
	--framework "$OUT/build/framework" --mainline "$OUT/build/mainline" \
	--off "$OUT/build/bench-off" ${PARTS:+--parts "$PARTS"} ${PAIRS:+--pairs "$PAIRS"}
