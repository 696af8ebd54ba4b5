#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fuzz.sh: hand corrupted tables of a made-up crashed kernel to the walkers of page
# tables and to the decoding of the drivers, and see that nothing is read or mapped
# that must not be.
#
#   N=number   corrupted tables in all, at least (1000000)
#   SEED=n     repeat the run that has printed this seed; 0 or none for a new one
#
# The KUnit kernel with KASAN runs them: see scripts/kunit.sh, whose variables work
# here too.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

number=${N:-1000000}
seed=${SEED:-0}
[[ $number =~ ^[1-9][0-9]{0,8}$ ]] || die "N=$number is not a number of tables: N=1000000, for one"
if ! [[ $seed =~ ^(0|[1-9][0-9]{0,9})$ ]] || ((seed > 4294967295)); then
	die "SEED=$seed is not a number of 32 bits"
fi
# 0 would make every test choose its own.
while ((seed == 0)); do
	seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
done

# Tests by the prefix of their parameters, and how often each is run.
runs=(kunit_iommu_amdv1:2 kunit_iommu_vtdss:3 kunit_iommu_riscv64:3 kunit_iommu_x86_64:4
	kunit_iommu_armv8_4k:6 kunit_iommu_armv8_16k:4 kunit_iommu_armv8_64k:4
	intel_kdump_kunit:2 amd_kdump_kunit:1 riscv_kdump_kunit:3)
# Of the drivers only that of Arm is built there.
if [ "${KUNIT_ARCH:-}" = arm64 ]; then
	runs=("${runs[@]:0:7}" smmuv3_kdump_kunit:2)
fi
total=0
for run in "${runs[@]}"; do
	total=$((total + ${run#*:}))
done
each=$(((number + total - 1) / total))
args="kunit.timeout=1000000"
for run in "${runs[@]}"; do
	args+=" ${run%:*}.corruptions=$each ${run%:*}.corruption_seed=$seed"
done

again="make fuzz N=$number SEED=$seed"
echo "fuzz: $number corrupted tables, seed $seed"
log=${KUNIT_BUILD:-$OUT/build/kunit${KUNIT_ARCH:+-$KUNIT_ARCH}}/test.log
status=0
# An emulated processor with KASAN makes about 300 a second.
KUNIT_TIMEOUT=${KUNIT_TIMEOUT:-$((600 + number / 50))} FILTER='*.test_*corrupt*' ARGS=$args \
	"$here/kunit.sh" || status=$?
done=$(sed -n 's/.* \([0-9]*\) corrupted tables.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
if ((status != 0)); then
	die "fuzz: failed, the first failure is in $log; once more with: $again"
fi
((done >= number)) || die "fuzz: $done of $number corrupted tables only: see $log"
echo "fuzz: $done corrupted tables, none of them did harm, seed $seed"
