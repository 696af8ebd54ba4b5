#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kernel.sh NAME: configure and build one of the test kernels, out/build/NAME:
#
#   framework, mainline     with the series, and the unmodified one
#   ...-dump                with debug information and the options of config.dump
#   ...-off                 no crash kernels: CRASH_DUMP, which the framework follows, is
#                           compiled out
#   framework-debug         looks for its own defects, by config.debug
#   framework-kunit         with the tests of KUnit, but no sanitizer
#   framework-debian        Debian's own configuration, with those modules that the rig loads
#   package                 what "make deb" puts into a package
#
# The first two and -debug are for RISC-V with -riscv behind the name and for Arm
# with -arm, by a cross compiler, and so is framework-kunit-arm; framework-arm-64k has pages
# of 64 KiB. RISC-V's unmodified one is made from the tree of base-riscv.sh.
#
# A kernel that differs from another one that is built by little more than what the series
# changes begins with a copy of its objects.
#
#   JOBS=N   compilers at the same time (as many as there are processors)
#   CONFIGURE_ONLY=1   the configuration is all that is wanted
#   CURRENT_ONLY=1     build nothing: ends with 1 if that would be necessary
#
# The objects go to .build inside of the source tree: Kbuild then names every
# file relative to it, and the compiler cache is shared by both trees and by
# every clone. $OUT/build/NAME is a link to it.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

name=${1:-}
case $name in
framework | framework-dump | framework-off | framework-debian | framework-riscv | framework-arm) ;;
framework-debug | framework-debug-riscv | framework-debug-arm | framework-arm-64k) ;;
framework-kunit | framework-kunit-arm) ;;
mainline | mainline-dump | mainline-off | mainline-riscv | mainline-arm | package) ;;
*)	die "kernel.sh: no such kernel: ${name:-what kernel?} (its first lines have a list)" ;;
esac

self=$(realpath "$0")
configs=$(dirname "$self")/configs
fragments=("$OUT/linux/tools/testing/selftests/iommu/kdump/config")
case $name in
*-riscv)
	where=-riscv
	arch=riscv
	cross=riscv64-linux-gnu-
	image=Image
	fragments+=("${fragments[0]}.riscv64")
	;;
*-arm | *-arm-64k)
	where=-arm${name#*-arm}
	arch=arm64
	cross=aarch64-linux-gnu-
	image=Image
	fragments+=("${fragments[0]}.arm64")
	[[ $name != *-64k ]] || fragments+=("${fragments[0]}.arm64-64k")
	;;
*)
	where=
	arch=x86_64
	cross=
	image=bzImage
	;;
esac
# What is between: -dump, -off, ..., or nothing
kind=${name%"$where"}
kind=${kind#framework}
kind=${kind#mainline}
case $kind in
-dump | -debug)	fragments+=("${fragments[0]}.${kind#-}") ;;
-kunit)	fragments+=("$OUT/linux/$(kunit_config "$arch")" "$configs/kunit-plain.config") ;;
-debian)	fragments=("$configs/debian.config") ;;
package)
	kind=-package
	fragments=("$configs/package.config")
	;;
esac
tree=linux
[[ $name != mainline* ]] || tree=base
[ "$name" != mainline-riscv ] || tree=base-riscv
source=$OUT/$tree
folder=.build$kind$where
log=$OUT/build/$name.log
# The one whose objects this one may begin with
like=
case $name in
mainline*)	like=framework$kind$where ;;
framework-off | framework-kunit*)
	like=framework$where
	;;
esac
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

# list_files DIR [NAME]: the sources of a kernel, with what changes when they do
list_files()
{
	(cd "$1" && find . \( -path './.build*' -o -path ./.lint -o -path ./Documentation -o -path ./tools/testing \) \
		-prune -o -type f -name "${2:-*}" -printf '%P %s %T@\n' | sort)
}

# What the build depends on: a kernel that is up to date is not even shown to
# make, which takes several seconds to see that. With an argument, only what the
# configuration depends on.
fingerprint()
{
	{
		list_files "$source" "$@"
		cat "${fragments[@]}" "$self"
		"$cc" --version
	} | sha256sum
}

# begin_like: begin with the objects of the kernel $like, if that one is up to date and
# this one is not there, or was configured otherwise. Kbuild knows which objects depend on
# which options, and leaves the others alone. What was made from a file that this tree has
# not, or has another version of, is left out.
begin_like()
{
	local theirs ours

	[ "$config_now" != "$(cat "$build/.configured" 2>/dev/null)" ] || return 0
	OUT="$OUT" CURRENT_ONLY=1 "$self" "$like" || return 0
	theirs=$(realpath "$OUT/build/$like")
	ours=$(realpath "$source")
	rm -rf "$build.new"
	cp -a "$theirs" "$build.new"
	rm -f "$build.new"/.{built,configured,objects}
	# The names of objtool's files are absolute, and all depends on objtool.
	find "$build.new/tools" -name '.*.cmd' -exec \
		sed -i "s,$theirs/,$ours/$folder/,g; s,${theirs%/*}/,$ours/,g" {} + 2>/dev/null || true
	if [ "${theirs%/*}" != "$ours" ]; then
		comm -13 <(list_files "$source") <(list_files "${theirs%/*}") |
			sed 's,^,/,; s, [^ ]* [^ ]*$,,' >"$build.new/.not-ours"
		(cd "$build.new" && find . -name '.*.cmd' -print0 |
			xargs -0 grep -lFf .not-ours |
			sed -E 's,^(.*/)\.([^/]*)\.cmd$,&\n\1\2,' | xargs -d '\n' rm -f)
	fi
	rm -rf "$build"
	mv "$build.new" "$build"
}

# configure: tinyconfig plus the options, and a look at what came of it
configure()
{
	local options option symbol bad=()

	options=$(wanted_options)
	cp "$build/.config" "$build/.config.before" 2>/dev/null || true
	if [ "$folder" = .build-debian ]; then
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

mkdir -p "$OUT/build"
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

[ -z "${CURRENT_ONLY:-}" ] || exit 1

start=$SECONDS
need_space "${NEED_MIB:-1500}" "building the $name kernel"
[ -z "$like" ] || begin_like
mkdir -p "$build"
rm -f "$build/.built"
if [ "$config_now" != "$(cat "$build/.configured" 2>/dev/null)" ]; then
	configure
	echo "$config_now" >"$build/.configured"
fi
[ -z "${CONFIGURE_ONLY:-}" ] || exit 0
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
