#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# rig.sh demo|compare|check|corrupt|soak [OPTION...]: run the test rig on the two
# kernels that are built.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

rig=$(dirname "$0")/../tools/testing/selftests/iommu/kdump/kdump_rig.py
[ -e "$rig" ] || die "the test rig $rig is not there: get the whole repository"

exec "$rig" "$1" --framework "$OUT/build/framework" --mainline "$OUT/build/mainline" --out "$OUT" "${@:2}"
