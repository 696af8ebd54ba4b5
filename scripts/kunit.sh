#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kunit.sh: build the KUnit kernel of out/linux, run its tests, count the results.
#
#   FILTER=glob   only the suites, or suite.test, that match; of several, with spaces
#                 between them, each gets a machine, and all run at the same time
#   ARGS="..."    more for the kernel's command line
#   KUNIT_TIMEOUT seconds until a run counts as hung (1800)
#   KUNIT_KERNEL=framework-kunit  that kernel, which kernel.sh has built, with -arm for arm64
#   FAST=1        without the sanitizer and the lock checker, for many runs
#   KUNIT_ARCH=arm64  for the driver of Arm's SMMUv3, which is built nowhere else: see the
#                 target kunit-arm, which gets what it needs
#   KUNIT_ARCH=um on User Mode Linux: no drivers, but all
#                 the rest at the speed of the machine
#
# kunit.py configures, builds and reads the results. The kernel is started from
# here: kunit.py would try KVM first, and a /dev/kvm that exists but does not work
# hangs it.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

source=${KUNIT_TREE:-$OUT/linux}
fast=${FAST:-}
arch=${KUNIT_ARCH:-x86_64}
ready=${KUNIT_KERNEL:-}
build=${KUNIT_BUILD:-$OUT/build/${ready:-kunit${KUNIT_ARCH:+-$KUNIT_ARCH}${fast:+-fast}}}
log=$build/test.log
timeout=${KUNIT_TIMEOUT:-1800}
config=$(kunit_config "$arch")
small=$(realpath "$(dirname "$0")")/configs/kunit-small.config
filter=${FILTER:-}
args=${ARGS:-}

repeatable_builds "$source"

# What KUnit's kernels are built by and run on.
own_options=()
case $arch in
x86_64)
	cross=
	own_options=(UNWINDER_FRAME_POINTER=y CPU_MITIGATIONS=n)
	image=arch/x86/boot/bzImage
	machine_options=(qemu-system-x86_64 -accel tcg -bios qboot.rom -append)
	machine_cmdline="console=ttyS0 no_timer_check tsc=nowatchdog"
	;;
arm64)
	cross=aarch64-linux-gnu-
	image=arch/arm64/boot/Image
	machine_options=("${QEMU_ARM:-$OUT/qemu-11-arm/qemu-system-aarch64}" -M virt -cpu cortex-a57 -append)
	machine_cmdline="console=ttyAMA0"
	;;
um)
	[ "$(uname -m)" = x86_64 ] || die "KUNIT_ARCH=um is for x86_64 only: run the other tests"
	cross=
	image=linux
	;;
*)	die "KUNIT_ARCH=$arch is unknown: x86_64, arm64 or um?" ;;
esac

cc=${CC:-${cross}gcc}
options=("CC=$cc" "LOCALVERSION=")
if command -v ccache >/dev/null; then
	options=("CC=ccache $cc" "HOSTCC=ccache gcc" "LOCALVERSION=")
fi
kunit=(python3 "$source/tools/testing/kunit/kunit.py")
configure=("--arch=$arch" ${cross:+--cross_compile=$cross} "--build_dir=$build" "--kunitconfig=$config"
	"--kunitconfig=$small" "${options[@]/#/--make_options=}")
# Warnings are what make lint is for: a test runs all the same.
compile=(make -j"$(nproc)" ARCH="$arch" "CROSS_COMPILE=$cross" "O=$build" KCFLAGS=-Wno-error
	"${options[@]}")
if [ -n "$fast" ]; then
	own_options+=(KASAN=n KASAN_OUTLINE=n UBSAN=n UBSAN_SHIFT=n PROVE_LOCKING=n
		PROVE_RAW_LOCK_NESTING=n DEBUG_ATOMIC_SLEEP=n DEBUG_LIST=n ENABLE_DEFAULT_TRACERS=y)
fi
for option in "${own_options[@]}"; do
	configure+=("--kconfig_add=CONFIG_$option")
done

# Nothing that was said to the make above is meant for the kernel's.
unset MAKEFLAGS MFLAGS MAKELEVEL CC CROSS_COMPILE ARCH KERNEL SUITE LINUX LINUX_TARBALL FORCE PATCH FILES FILTER ARGS FAST
export -n OUT CACHE

objects()
{
	echo "$(find "$build" -name '*.o' | wc -l) objects"
}

tests()
{
	echo "$(cat "${logs[@]}" | grep -cE '^ {4,}(not )?ok ' || true) tests"
}

# boot FILTER LOG: run tests on the same machine that kunit.py makes, but for the
# accelerator. On a busy host timer and clock stand still long enough for the kernel to
# take them for broken.
boot()
{
	local cmdline="kunit.enable=1${1:+ kunit.filter_glob=$1}${args:+ $args}" words

	if [ "$arch" = um ]; then
		read -ra words <<<"$cmdline"
		exec timeout "$timeout" "$build/$image" mem=1G console=tty "${words[@]}" \
			kunit_shutdown=halt </dev/null >"$2" 2>&1
	fi
	cmdline="$machine_cmdline $cmdline kunit_shutdown=reboot panic=-1"
	exec timeout "$timeout" "${machine_options[@]}" "$cmdline" -nodefaults -m 1024 \
		-no-reboot -nographic -serial stdio -kernel "$build/$image" \
		</dev/null >"$2" 2>&1
}

# A run that is interrupted ends its machines.
stop_machines()
{
	[ ${#machines[@]} -eq 0 ] || kill "${machines[@]}" 2>/dev/null || true
}

mkdir -p "$build"
need_space "${NEED_MIB:-2500}" "building the KUnit kernel"
[ -r "$source/$config" ] ||
	die "out/linux has no $config: it is part of the repository, run 'make tree'"

# build_kernel: configure and build it, by kunit.py as far as that goes
build_kernel()
{
	local wanted start=$SECONDS

	# kunit.py takes its time to find out that a configuration is the right one.
	wanted=$(cat "$config" "$small" && printf '%s\n' "${configure[@]}")
	if [ -n "$fast" ] && [ "$wanted" = "$(cat "$build/.configured" 2>/dev/null)" ]; then
		: >"$build/build.log"
	elif ! "${kunit[@]}" config "${configure[@]}" >"$build/build.log" 2>&1; then
		tail -n 20 "$build/build.log" >&2
		die "the KUnit kernel cannot be configured: see $build/build.log"
	fi
	echo "$wanted" >"$build/.configured"
	"${compile[@]}" syncconfig >>"$build/build.log" 2>&1 ||
		die "the KUnit kernel cannot be configured: see $build/build.log"
	fast_cache
	"${compile[@]}" "${image##*/}" >>"$build/build.log" 2>&1 &
	if ! watch $! "KUnit kernel" objects; then
		grep -E -m 10 -A 3 ' error: |undefined reference|\*\*\* ' "$build/build.log" >&2 ||
			tail -n 20 "$build/build.log" >&2
		die "the KUnit kernel does not build: see $build/build.log"
	fi
	echo "KUnit kernel: built in $(elapsed "$start")"
}

cd "$source"
[ -n "$ready" ] || build_kernel

read -ra filters <<<"$filter"
[ ${#filters[@]} -gt 0 ] || filters=('')
machines=()
trap stop_machines EXIT
trap 'exit 130' INT TERM HUP
start=$SECONDS
rm -f "$build"/test.*.log
logs=()
for i in "${!filters[@]}"; do
	logs[i]=$build/test.$i.log
	: >"${logs[i]}"
	boot "${filters[i]}" "${logs[i]}" &
	machines[i]=$!
done
hung=0
for machine in "${machines[@]}"; do
	status=0
	watch "$machine" "KUnit" tests || status=$?
	((status != 124)) || hung=1
done
machines=()
cat "${logs[@]}" >"$log"
echo "KUnit: ran for $(elapsed "$start")"

# count WORD...: the sum of what one run's summary says
count()
{
	local n=0 word value

	for word in "$@"; do
		value=$(sed -n "s/.*Testing complete\..*[ ,]$word: \([0-9]*\).*/\1/p" "$build/summary" | tail -n 1)
		n=$((n + ${value:-0}))
	done
	echo "$n"
}

verdict=0 passed=0 failed=0 skipped=0
: >"$build/summary.log"
for i in "${!filters[@]}"; do
	"${kunit[@]}" parse "${logs[i]}" >"$build/summary" 2>&1 || verdict=1
	cat "$build/summary"
	cat "$build/summary" >>"$build/summary.log"
	passed=$((passed + $(count passed)))
	failed=$((failed + $(count failed crashed errors)))
	skipped=$((skipped + $(count skipped)))
	if (($(count passed) == 0)); then
		echo "error: nothing was run${filters[i]:+ of ${filters[i]}}: see ${logs[i]}" >&2
		verdict=1
	fi
done

# What the tests did not ask about: sanitizer and lock checker speak for themselves.
if grep -E -m 1 'KASAN: |UBSAN: |WARNING: (possible|suspicious|inconsistent|bad unlock|held lock)|BUG: |Oops: |Kernel panic|turning off the locking' "$log"; then
	echo "error: the kernel complained while the tests ran: see $log" >&2
	verdict=1
fi
if ((hung)); then
	echo "error: no end after $timeout seconds: see the last lines of ${logs[*]}" >&2
	verdict=1
fi
# The tests say how many corrupted tables they have made.
awk '/^    # Subtest: / { suite = $3 }
	match($0, /[0-9]+ corrupted tables/) {
		n = substr($0, RSTART) + 0
		if (!sum[suite])
			order[++suites] = suite
		sum[suite] += n
		total += n
	}
	END {
		for (i = 1; i <= suites; i++)
			print "corrupted tables: " sum[order[i]] " by " order[i]
		if (suites)
			print "corrupted tables: " total " in all"
	}' "$log"
# Last of all, where nobody has to look for it.
sed -E -n 's/^(\[[0-9:]+\] )?=* *(\[(FAILED|CRASHED|ERROR)\].*[^ =])[ =]*$/\2/p' "$build/summary.log"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && verdict == 0))
