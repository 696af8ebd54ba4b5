#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# base-riscv.sh: make $OUT/base-riscv, the tree of the unmodified kernel for RISC-V:
# $OUT/base with those patches of the series without which its DMA API does not use an
# IOMMU there, and nothing of the framework. Its files are those of $OUT/base itself but
# for the few that are patched.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

PATCHES=(iommu-dma-riscv.patch riscv-imsic-pages.patch)

self=$(realpath "$0")
tree=$OUT/base-riscv
state=$OUT/state/base-riscv.id
patches=${self%/*/*}/patches

now=$(cd "$patches" && sha256sum "$OUT/state/base.id" "${PATCHES[@]}" "$self" |
	cut -d ' ' -f 1)
[ "$now" != "$(cat "$state" 2>/dev/null)" ] || exit 0

rm -f "$state"
need_space 300 "$tree"
mkdir -p "$tree"
# what is patched is a file of its own: patch writes a new one, and so does rsync
rsync -a --delete --exclude='/.build*' --exclude=/.lint --link-dest="$OUT/base/" \
	"$OUT/base/" "$tree/"
for name in "${PATCHES[@]}"; do
	patch -d "$tree" -p1 -s --no-backup-if-mismatch <"$patches/$name" ||
		die "patches/$name does not apply to the unmodified kernel"
done
echo "$now" >"$state"
