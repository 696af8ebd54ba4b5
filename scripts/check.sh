#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh: run every part of the tests, and add up what they say: TAP lines
# ("ok 1 name", "not ok 2 name", "ok 3 name # SKIP why"), or one line
# "N passed, N failed, N skipped" of a part's own. The last line printed is
# the sum.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

passed=0
failed=0
skipped=0
failures=
times=

# part NAME COMMAND...: a part that fails must not keep the others from running
part()
{
	local name=$1 log status p f s start=$SECONDS

	shift
	log=$OUT/tmp/check.$name
	echo "== $name"
	"$@" 2>&1 | tee "$log" | grep --line-buffered -vE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'
	status=${PIPESTATUS[0]}
	read -r p f s < <(awk '
		/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { own = 1; op = $1; of = $3; os = $5 }
		/^not ok /			{ f++; next }
		/^ok .*# *SKIP/			{ s++; next }
		/^ok /				{ p++ }
		END { if (own) { p = op; f = of; s = os }; print p + 0, f + 0, s + 0 }' "$log")
	# 4 is kselftest's word for all skipped
	if ((status != 0 && f == 0 && !(status == 4 && s > 0))); then
		echo "not ok $name: ended with status $status" | tee -a "$log"
		f=1
	elif ((p + f + s == 0)); then
		echo "not ok $name: ran no test" | tee -a "$log"
		f=1
	fi
	failures+=$(grep -E '^(not ok |\[[A-Z]+\] )' "$log" | sort -u | sed "s/^/$name: /" && echo .)
	failures=${failures%.}
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	times+=$(printf '%-10s %4d passed %4d failed %4d skipped  %s\n' "$name" "$p" "$f" "$s" \
		"$(elapsed "$start")" && echo .)
	times=${times%.}
}

skip()
{
	echo "== $1"
	echo "ok $1 # SKIP $2"
	skipped=$((skipped + 1))
}

run_rig()
{
	make --no-print-directory kernel kernel-mainline || return
	scripts/rig.sh check
}

# A short selection on the kernels for RISC-V, and on those for Arm.
run_riscv()
{
	make --no-print-directory kernel-riscv kernel-mainline-riscv || return
	scripts/rig.sh check --iommu riscv
}

run_smmuv3()
{
	make --no-print-directory kernel-arm kernel-mainline-arm || return
	scripts/rig.sh check --iommu smmuv3
}

# run_kunit TARGET KERNEL ARCH FILTER
run_kunit()
{
	make --no-print-directory "$1" || return
	KUNIT_KERNEL=$2 KUNIT_ARCH=$3 FILTER=$4 scripts/kunit.sh
}

# As upstream runs it: the part that looks at the running kernel. The part that boots
# kernels of its own is the rig above.
run_kselftest()
{
	local build=$OUT/build/kselftest

	make --no-print-directory tree-keep KDUMP_LOCKED=1 >/dev/null || return
	mkdir -p "$build"
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u KERNEL make -s \
		-C "$OUT/linux/tools/testing/selftests" O="$build" TARGETS=iommu/kdump \
		TEST_PROGS= run_tests
}

run_page()
{
	scripts/setup.sh base page || return
	scripts/test-page.py "$OUT/check.html" "$OUT/results.jsonl"
}

# The rig, ended by signals in the middle of what it does, with the kernels of the part
# before this one.
run_interrupts()
{
	scripts/test-rig.py
}

part tools scripts/test-tree.py
if [ -e tools/testing/selftests/iommu/kdump/kdump_rig.py ]; then
	part rig run_rig
	part page run_page
	part interrupts run_interrupts
	part riscv run_riscv
	part smmuv3 run_smmuv3
	part kselftest run_kselftest
else
	skip rig "the test rig is not there"
fi
# The core and the walkers at the speed of the machine, with all that looks for mistakes;
# then what needs a driver, or memory of which the machine knows where it is, on kernels
# that the rig has already. make kunit runs all of that in an emulated machine, with the
# sanitizers, and the suites that come with generic_pt, which take longest.
part kunit-um make --no-print-directory kunit-um \
	FILTER='*_kdump_* *_kdump *_foreign_test kunit_iommu'
part kunit run_kunit kernel-kunit framework-kunit x86_64 '*_kdump iommu_kdump_memory'
part kunit-arm run_kunit kernel-kunit-arm framework-kunit-arm arm64 '*_kdump arm-smmu-v3-kunit-test'

# What took how long, and what failed, once more: the last lines are all that some see of
# a long log.
printf '%s' "$times$failures"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
