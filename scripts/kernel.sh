#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kernel.sh framework|mainline[-dump|-off]|package: configure and build one of the test
# kernels, or the one that "make deb" puts into a package; framework-debian has Debian's
# own configuration, with the modules that the rig loads and no others. Those for dumps have debug information, and the options of config.dump on top of those
# in config, and framework-debug, framework-debug-riscv, framework-debug-arm look for their own
# defects, by config.debug. Those that end in -off are no crash kernels: CRASH_DUMP, which the framework
# follows, is compiled out. Those that end in -riscv or -arm are for RISC-V and Arm, by a
# cross compiler (-arm-64k: with pages of 64 KiB); RISC-V's unmodified one is made from what base-riscv.sh makes.
#
#   JOBS=N   compilers at the same time (as many as there are processors)
#
# The objects go to .build inside of the source tree: Kbuild then names every
# file relative to it, and the compiler cache is shared by both trees and by
# every clone. $OUT/build/NAME is a link to it.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

name=$1
case $name in
framework | framework-dump | framework-off | framework-debian | framework-riscv | framework-arm | package)	tree=linux ;;
framework-debug | framework-debug-riscv | framework-debug-arm | framework-arm-64k)	tree=linux ;;
mainline | mainline-dump | mainline-off | mainline-arm)	tree=base ;;
mainline-riscv)	tree=base-riscv ;;
*)	die "kernel.sh: framework or mainline, and -dump, -off, -debug, -riscv, -arm or nothing behind it, or package?" ;;
esac

self=$(realpath "$0")
source=$OUT/$tree
log=$OUT/build/$name.log
fragments=("$OUT/linux/tools/testing/selftests/iommu/kdump/config")
folder=.build
arch=x86_64
cross=
image=bzImage
case $name in
*-dump)
	folder=.build-dump
	fragments+=("${fragments[0]}.dump")
	;;
*-off)	folder=.build-off ;;
*-riscv)
	folder=.build-riscv
	fragments+=("${fragments[0]}.riscv64")
	arch=riscv
	cross=riscv64-linux-gnu-
	image=Image
	;;
*-arm | *-arm-64k)
	folder=.build${name#"${name%%-arm*}"}
	fragments+=("${fragments[0]}.arm64")
	arch=arm64
	cross=aarch64-linux-gnu-
	image=Image
	;;
*-debian)
	folder=.build-debian
	fragments=("$(realpath "$(dirname "$0")")/configs/debian.config")
	;;
package)
	folder=.build-package
	fragments=("$(realpath "$(dirname "$0")")/configs/package.config")
	;;
esac
if [[ $name = *-64k ]]; then
	fragments+=("${fragments[1]}-64k")
fi
if [[ $name = *-debug* ]]; then
	folder=.build-debug${folder#.build}
	fragments+=("${fragments[0]}.debug")
fi
build=$source/$folder
jobs=${JOBS:-$(nproc)}

repeatable_builds ''

cc=${CC:-${cross}gcc}
make=(make -C "$source" "O=$build" "ARCH=$arch" "CROSS_COMPILE=$cross" LOCALVERSION=)
if command -v ccache >/dev/null; then
	make+=("CC=ccache $cc" "HOSTCC=ccache gcc")
else
	make+=("CC=$cc")
fi

series=${KERNEL:-}

# Nothing that was said to the make above is meant for the kernel's.
unset MAKEFLAGS MFLAGS MAKELEVEL JOBS CC KERNEL SUITE LINUX LINUX_TARBALL FORCE PATCH FILES
export -n OUT CACHE

# wanted_options: the fragments, plus what makes this kernel the one it is. The last
# setting of an option counts, and an empty one is none.
wanted_options()
{
	local without=IOMMU_KDUMP

	[[ $name != *-off ]] || without='(IOMMU_KDUMP|CRASH_DUMP=|PROC_VMCORE|VMCORE_INFO)'
	cat "${fragments[@]}" | grep -E '^CONFIG_[A-Za-z0-9_]+=' | grep -vE "^CONFIG_$without" |
		awk -F = '{ value[$1] = $0; order[$1] = NR } END { for (o in value) print order[o], value[o] }' |
		sort -n | cut -d ' ' -f 2- | grep -v '=$'
	if [[ $name = *-off ]]; then
		echo CONFIG_CRASH_DUMP=n
		return
	fi
	[ $tree = linux ] || return 0
	if grep -rqsE '^(menu)?config IOMMU_KDUMP$' "$source/drivers/iommu/"; then
		echo CONFIG_IOMMU_KDUMP=y
		cat "${fragments[@]}" | grep '^CONFIG_IOMMU_KDUMP' | grep -v '^CONFIG_IOMMU_KDUMP=' || true
	else
		echo "note: out/linux has no option IOMMU_KDUMP: this kernel is without the framework" >&2
	fi
}

# What the build depends on: a kernel that is up to date is not even shown to
# make, which takes several seconds to see that. With an argument, only what the
# configuration depends on.
fingerprint()
{
	cd "$source"
	{
		find . \( -path './.build*' -o -path ./.lint -o -path ./Documentation -o -path ./tools/testing \) \
			-prune -o -type f -name "${1:-*}" -printf '%P %s %T@\n' | sort
		cat "${fragments[@]}" "$self"
		"$cc" --version
	} | sha256sum
}

# configure: tinyconfig plus the options, and a look at what came of it
configure()
{
	local options option symbol bad=()

	options=$(wanted_options)
	cp "$build/.config" "$build/.config.before" 2>/dev/null || true
	if [ $folder = .build-debian ]; then
		cp "$OUT/stock-$series/config" "$build/.config"
		echo "$options" >>"$build/.config"
		sed -n 's/^# LSMOD //p' "${fragments[@]}" >"$build/.lsmod"
		# it asks about what is new, and the first answer is the default
		"${make[@]}" LSMOD=.lsmod localmodconfig >"$log" 2>&1 < <(yes '') ||
			die "make localmodconfig failed: $(tail -n 1 "$log") (log: $log)"
	else
		"${make[@]}" tinyconfig >"$log" 2>&1 ||
			die "make tinyconfig failed: $(tail -n 1 "$log") (log: $log)"
		echo "$options" >>"$build/.config"
	fi
	"${make[@]}" olddefconfig >>"$log" 2>&1 || die "make olddefconfig failed: $(tail -n 1 "$log") (log: $log)"
	for option in $options; do
		symbol=${option%%=*}
		case $option in
		*=n)	! grep -q "^$symbol=" "$build/.config" ;;
		*)	grep -qxF "$option" "$build/.config" ;;
		esac || bad+=("$option")
	done
	[ ${#bad[@]} -eq 0 ] ||
		die "the $name kernel cannot have ${bad[*]}: see what they depend on, and correct ${fragments[*]#"$OUT"/linux/}"
	# Without news the time stamp stays, or everything would be looked at again.
	if cmp -s "$build/.config" "$build/.config.before"; then
		mv "$build/.config.before" "$build/.config"
	fi
}

# progress: read make's output, show how far it is, keep it in the log
progress()
{
	local line count=0 total shown=-30 start=$SECONDS

	total=$(cat "$build/.objects" 2>/dev/null || echo '?')
	while true; do
		line=
		if IFS= read -r -t 5 line; then
			echo "$line" >>"$log"
			case $line in
			"  CC "* | "  AS "* | "  HOSTCC "*) count=$((count + 1)) ;;
			esac
		elif (($? <= 128)); then
			break
		fi
		if [ -t 1 ] && ((shown != SECONDS)); then
			printf '\r%s kernel: %d of %s objects, %s ' "$name" "$count" "$total" "$(elapsed "$start")"
			shown=$SECONDS
		elif [ ! -t 1 ] && ((SECONDS - shown >= 30)); then
			echo "$name kernel: $count of $total objects, $(elapsed "$start")"
			shown=$SECONDS
		fi
	done
	[ ! -t 1 ] || printf '\r\033[K'
	echo "$count" >"$build/.objects.now"
}

mkdir -p "$build" "$OUT/build"
ln -sfn "../$tree/$folder" "$OUT/build/$name"
for fragment in "${fragments[@]}"; do
	[ -r "$fragment" ] ||
		die "there is no ${fragment#"$OUT"/linux/}: it is part of the repository and lists the options of the $name kernel"
done

now=$(fingerprint)
config_now=$(fingerprint 'Kconfig*')
if [ "$now" = "$(cat "$build/.built" 2>/dev/null)" ] && [ -e "$build/arch/${arch%_64}/boot/$image" ]; then
	exit 0
fi

start=$SECONDS
rm -f "$build/.built"
need_space "${NEED_MIB:-1500}" "building the $name kernel"
if [ "$config_now" != "$(cat "$build/.configured" 2>/dev/null)" ]; then
	configure
	echo "$config_now" >"$build/.configured"
fi
"${make[@]}" syncconfig >>"$log" 2>&1 || die "make syncconfig failed: see $log"
fast_cache
if ! "${make[@]}" -j"$jobs" "$image" modules 2>&1 | progress; then
	echo "the $name kernel does not build:" >&2
	grep -E -m 10 -A 3 ' error: |undefined reference|\*\*\* ' "$log" >&2 || tail -n 10 "$log" >&2
	die "see $log"
fi
# A full build is the measure for the next one's progress.
if [ "$(cat "$build/.objects.now")" -gt "$(cat "$build/.objects" 2>/dev/null || echo 0)" ]; then
	mv "$build/.objects.now" "$build/.objects"
fi
echo "$now" >"$build/.built"
echo "$name kernel: Linux $("${make[@]}" -s kernelrelease), built in $(elapsed "$start"): out/build/$name"
