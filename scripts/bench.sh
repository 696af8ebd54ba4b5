#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh: build what the benchmarks run on, run them, print one table.
#
#   PARTS=kunit,files,map,panic,identity   only some of them; riscv, only if it is
#                                 named, counts a normal kernel's mappings there
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

# kunit.py knows what a kernel in QEMU needs, apart from the options that are asked for.
kunit_kernel()
{
	local build=$OUT/build/bench-kunit log=$OUT/build/bench-kunit.log start=$SECONDS

	mkdir -p "$build"
	(cd "$OUT/linux" && tools/testing/kunit/kunit.py config --arch=x86_64 "--build_dir=$build" \
		--kunitconfig=drivers/iommu/kdump/bench.kunitconfig "--make_options=CC=$cc" \
		"--make_options=LOCALVERSION=") >"$log" 2>&1 ||
		die "the KUnit kernel cannot be configured: see $log"
	kernel_make "$OUT/linux" "$build" x86_64 "$cc"
	"${make[@]}" -j"$(nproc)" bzImage >>"$log" 2>&1 &
	if ! watch $! "KUnit kernel" compiled "$log"; then
		found_warnings "$log" | head -n 10 >&2
		die "the KUnit kernel does not build: see $log"
	fi
	echo "KUnit kernel: built in $(elapsed "$start"): out/build/bench-kunit"
}

case ,${PARTS:-kunit}, in
*,kunit,*) kunit_kernel ;;
esac

# Address windows where large machines have them need a newer QEMU than Debian's.
case ,${PARTS:-identity}, in
*,identity,*) "$here/../tools/testing/selftests/iommu/kdump/fetch_qemu.sh" "$OUT" ||
	echo "QEMU 11 cannot be fetched: the part identity will fail" >&2 ;;
esac

foreign=()
case ,${PARTS:-}, in
*,riscv,*)
	"$here/../tools/testing/selftests/iommu/kdump/fetch_qemu.sh" "$OUT" riscv ||
		die "QEMU 11 for RISC-V cannot be fetched"
	for name in framework-riscv mainline-riscv; do
		foreign+=("--$name" "$OUT/build/$name")
	done
	;;
esac

python3 "$here/bench.py" --out "$OUT" --kunit "$OUT/build/bench-kunit" \
	--framework "$OUT/build/framework" --mainline "$OUT/build/mainline" \
	--off "$OUT/build/framework-off" --mainline-off "$OUT/build/mainline-off" "${foreign[@]}" \
	${PARTS:+--parts "$PARTS"} ${PAIRS:+--pairs "$PAIRS"}
