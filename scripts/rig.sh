#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# rig.sh SUBCOMMAND [OPTION...]: run the test rig on the two kernels that are built;
# dumps and debian on those with debug information, debug-boots on those that look for their
# own defects, and with --iommu riscv or smmuv3 on those for RISC-V or Arm. --iommu IOMMU,IOMMU runs one after the other.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

rig=$(dirname "$0")/../tools/testing/selftests/iommu/kdump/kdump_rig.py
[ -e "$rig" ] || die "the test rig $rig is not there: get the whole repository"

command=$1
shift
iommus=('')
words=()
while [ $# -gt 0 ]; do
	case $1 in
	--iommu)
		IFS=, read -ra iommus <<<"${2-}"
		shift
		;;
	*)	words+=("$1") ;;
	esac
	shift
done

status=0
for iommu in "${iommus[@]}"; do
	kind=
	case $command in
	dumps | debian)	kind=-dump ;;
	debug-boots)	kind=-debug ;;
	esac
	case $iommu in
	riscv)	kind+=-riscv ;;
	smmuv3)	kind+=-arm ;;
	esac
	"$rig" "$command" --framework "$OUT/build/framework$kind" --mainline "$OUT/build/mainline$kind" \
		--out "$OUT" ${iommu:+--iommu "$iommu"} ${words[@]+"${words[@]}"} || status=$?
	[ $status -lt 128 ] || break
done
exit $status
