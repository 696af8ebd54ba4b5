#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# rig.sh SUBCOMMAND [OPTION...]: run the test rig on the two kernels that are built;
# dumps and debian on those with debug information, and with --iommu riscv on those for
# RISC-V.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

rig=$(dirname "$0")/../tools/testing/selftests/iommu/kdump/kdump_rig.py
[ -e "$rig" ] || die "the test rig $rig is not there: get the whole repository"

kind=
case $1 in dumps | debian) kind=-dump ;; esac
case " $* " in *" --iommu riscv "*) kind=-riscv ;; esac
exec "$rig" "$1" --framework "$OUT/build/framework$kind" --mainline "$OUT/build/mainline$kind" --out "$OUT" "${@:2}"
