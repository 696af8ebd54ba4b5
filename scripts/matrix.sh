#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# matrix.sh: build every configuration of scripts/matrix with W=1, and compare.
#
#   ROWS="glob ..."   only the lines whose name matches
#
# A line fails when its options are not what it asks for, when an object of the
# framework is missing or should not be there, when the compiler warns about a new
# file, or about another file where the unmodified tree does not give that warning,
# and when an object refers to a function that its configuration leaves out.
# A line whose sources did not change since it passed is not built again.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$(dirname "$0")/lib-build.sh"

here=$(realpath "$(dirname "$0")")
tree=$OUT/linux
work=$OUT/build/matrix
table=$work/table
read -ra rows <<<"${ROWS:-*}"
folders=(drivers/iommu lib/kunit)
unset ROWS

mapfile -t new < <("$here/tree.py" files --new | grep '\.[ch]$')
[ ${#new[@]} -gt 0 ] || die "the repository has no new file: get the whole repository"

# objects_for OPTION: what the Makefile of the framework builds for an option
objects_for()
{
	sed -n "s/^obj-.(CONFIG_$1) += //p" "$tree/drivers/iommu/kdump/Makefile" | tr ' ' '\n' |
		sed 's|^|drivers/iommu/kdump/|'
}

# wanted_objects BUILD: of the framework's files, those that this build has to have
wanted_objects()
{
	local config=$1/.config

	! grep -q '^CONFIG_IOMMU_KDUMP_KUNIT_TEST=y' "$config" || objects_for IOMMU_KDUMP_KUNIT_TEST
	! grep -q '^CONFIG_IOMMU_KDUMP_BENCH=y' "$config" || objects_for IOMMU_KDUMP_BENCH
	! grep -q '^CONFIG_KUNIT_IOMMU=y' "$config" || printf 'lib/kunit/%s.o\n' iommu iommu-plain iommu-test
	! grep -q '^CONFIG_IOMMU_PT_ARMV8=[ym]' "$config" ||
		printf 'drivers/iommu/generic_pt/fmt/iommu_armv8_%s.o\n' 4k 16k 64k
	grep -q '^CONFIG_IOMMU_KDUMP=y' "$config" || return 0
	! grep -q '^CONFIG_KUNIT_IOMMU=y' "$config" || echo lib/kunit/iommu-kdump.o
	objects_for IOMMU_KDUMP
	! grep -q '^CONFIG_INTEL_IOMMU=y' "$config" || echo drivers/iommu/intel/kdump.o
	! grep -q '^CONFIG_AMD_IOMMU=y' "$config" || echo drivers/iommu/amd/kdump.o
	! grep -q '^CONFIG_RISCV_IOMMU=y' "$config" || echo drivers/iommu/riscv/kdump.o
	! grep -q '^CONFIG_ARM_SMMU_V3=[ym]' "$config" || echo drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-kdump.o
}

built_objects()
{
	local object

	for object in "${new[@]/%.c/.o}"; do
		[[ $object != *.o || ! -e $1/$object ]] || echo "$object"
	done
}

objects_of()
{
	(cd "$1" && find "${folders[@]}" -name '*.o' ! -name '*.mod.o' ! -name vmlinux.o 2>/dev/null) || true
}

# compile WHAT BUILD LOG TARGET...: ends with the status of make
compile()
{
	local what=$1 build=$2 log=$3

	shift 3
	# A compiler speaks only about what it compiles: what it spoke of comes again.
	if [ -s "$log" ]; then
		found_warnings "$log" | sed -n 's/^\([^:]*\)\.c:.*/\1.o/p' | sort -u |
			while read -r object; do rm -f "$build/$object"; done
		# One in a header shows in any object.
		! found_warnings "$log" | grep -q '\.h:' || objects_of "$build" | sed "s|^|$build/|" | xargs -r rm -f
	fi
	"${make[@]}" -k -j"$(nproc)" W=1 "$@" >"$log" 2>&1 &
	watch $! "$what" compiled "$log"
}

# not_theirs BUILD: of the warnings found there, those that the unmodified tree has
# not given, in no configuration; left in the file "left"
not_theirs()
{
	local list line

	: >"$OUT/tmp/theirs"
	for list in "$work"/*.base.found; do
		[ "$(head -n 1 "$list" 2>/dev/null)" != "$(cat "$OUT/state/base.id")" ] ||
			tail -n +2 "$list" >>"$OUT/tmp/theirs"
	done
	while IFS= read -r line; do
		without_lines <<<"$line" | grep -qxF -f "$OUT/tmp/theirs" || echo "$line"
	done <"$1/found" >"$1/left"
}

# Sets state, why, ours, objects and count (of warnings).
build_row()
{
	local name=$1 arch=$2 compiler=$3 config=$4 build=$work/$1 log=$work/$1.log
	local targets base=$work/$1.base status=0 missing line
	shift 5

	IFS=, read -ra targets <<<"$row_targets"
	kernel_make "$tree" "$build" "$arch" "$compiler"
	if ! why=$(configure "$build" "$work/$name.config.log" "$config" "$@"); then
		return
	fi
	if ! cmp -s "$build/.config" "$build/.config.objects"; then
		(cd "$build" && rm -rf "${folders[@]}")
		rm -f "$log"
	fi
	compile "$name" "$build" "$log" "${targets[@]}" || status=$?
	cp "$build/.config" "$build/.config.objects"
	objects=$(objects_of "$build" | wc -l)
	ours=$(built_objects "$build" | wc -l)
	found_warnings "$log" >"$build/found"
	count=$(wc -l <"$build/found")

	wanted_objects "$build" | sort >"$build/wanted"
	built_objects "$build" | sort >"$build/built"
	missing=$(comm -23 "$build/wanted" "$build/built" | paste -sd ' ')
	line=$(comm -13 "$build/wanted" "$build/built" | paste -sd ' ')
	if ((status != 0)); then
		why="does not build: $(grep -m 1 -E ' error: |undefined reference|\*\*\* ' "$log" || tail -n 1 "$log")"
		return
	elif [ -n "$missing" ]; then
		why="has not built $missing"
		return
	elif [[ -n $line && " ${targets[*]} " != *" vmlinux "* ]]; then
		why="has built $line"
		return
	fi

	# What the new files bring is ours; the rest is, unless the unmodified tree has it too.
	printf '%s:\n' "${new[@]}" >"$build/new"
	if grep -qF -f "$build/new" "$build/found"; then
		grep -F -f "$build/new" "$build/found" >"$build/left"
	elif [ -s "$build/found" ]; then
		# It need not be built when what it says in another configuration is enough.
		not_theirs "$build"
		if [ -s "$build/left" ]; then
			kernel_make "$OUT/base" "$base" "$arch" "$compiler"
			mkdir -p "$base"
			cp "$build/.config" "$base/.config"
			"${make[@]}" olddefconfig >"$base.config.log" 2>&1 || true
			compile "$name, unmodified tree" "$base" "$base.log" "${targets[@]}" || true
			{ cat "$OUT/state/base.id"; found_warnings "$base.log" | without_lines | sort -u; } >"$base.found"
			not_theirs "$build"
		fi
	else
		: >"$build/left"
	fi
	if [ -s "$build/left" ]; then
		why="$(wc -l <"$build/left") new warnings: $(head -n 1 "$build/left")"
		return
	fi

	# Symbols, for the look at all of them, in the format that binutils and LLVM share.
	objects_of "$build" | (cd "$build" && xargs -r "${nm}" -A -P 2>&1) >"$build/symbols" || true
	sed -nE 's/^[^ ]*: ([^ ]+) [TDBRVW] .*/\1/p' "$build/symbols" | sort -u >"$build/defined"
	sed -nE 's/^[^ ]*: ([^ ]+) U .*/\1/p' "$build/symbols" | sort -u >"$build/undefined"
	if ! [ -s "$build/defined" ] || ! [ -s "$build/undefined" ]; then
		why="$nm shows no symbols: see $build/symbols"
		return
	fi
	state=ok
	why=
}

[ -r "$here/matrix" ] || die "scripts/matrix is missing: get the whole repository"
mkdir -p "$work" "$OUT/tmp"
need_space "${NEED_MIB:-3000}" "building the configuration matrix"

names=() lines=()
while read -r name rest; do
	case $name in '' | \#*) continue ;; esac
	for glob in "${rows[@]}"; do
		# shellcheck disable=SC2053
		if [[ $name == $glob ]]; then
			names+=("$name") lines+=("$rest")
			break
		fi
	done
done < <(cat "$here/matrix")
[ ${#names[@]} -gt 0 ] || die "no line of scripts/matrix has a name like ${rows[*]}"

for line in "${lines[@]}"; do
	read -r _ compiler _ <<<"$line"
	command -v "$compiler" >/dev/null ||
		die "there is no $compiler here: run 'scripts/setup.sh matrix' as root, or leave its lines out with ROWS="
done

# fragments CONFIG: what the names after the first + stand for
fragments()
{
	local part parts

	IFS=+ read -ra parts <<<"$1"
	for part in "${parts[@]:1}"; do
		cat "$(fragment "$part")"
	done
}

stamp=$(tree_stamp "$tree"; cat "$here/lib-build.sh" "$0" | sha256sum)
printf 'name\tarch\tcompiler\tobjects\tours\twarnings\ttime\tresult\n' >"$table"
for i in "${!names[@]}"; do
	read -r arch compiler config row_targets options <<<"${lines[i]}"
	name=${names[i]}
	start=$SECONDS
	state=failed why='' objects=0 ours=0 count=0
	case $compiler in
	clang-*)	nm=llvm-nm-${compiler#clang-} ;;
	*gcc)		nm=${compiler%gcc}nm ;;
	esac
	now=$({ echo "$stamp ${lines[i]}"; fragments "$config"; "$compiler" --version; } | sha256sum)
	if [ "$now" = "$(cat "$work/$name/.passed" 2>/dev/null)" ]; then
		IFS=$'\t' read -r objects ours count <"$work/$name/.counts"
		state=unchanged
	else
		rm -f "$work/$name/.passed"
		read -ra options <<<"$options"
		build_row "$name" "$arch" "$compiler" "$config" "$row_targets" "${options[@]}"
		if [ "$state" = ok ]; then
			printf '%s\t%s\t%s\n' "$objects" "$ours" "$count" >"$work/$name/.counts"
			echo "$now" >"$work/$name/.passed"
		fi
	fi
	echo "$name: $state${why:+, $why}, $(elapsed "$start")"
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$arch" "$compiler" "$objects" "$ours" "$count" \
		"$(elapsed "$start")" "$state${why:+: $why}" >>"$table"
done

# A function that some configuration has in these folders, and that is called
# without being there, would fail to link. A whole kernel has been linked already.
cat "$work"/*/defined 2>/dev/null | sort -u >"$OUT/tmp/defined" || true
for i in "${!names[@]}"; do
	name=${names[i]}
	read -r _ _ _ row_targets _ <<<"${lines[i]}"
	[[ -e $work/$name/.passed && $row_targets != vmlinux ]] || continue
	lost=$(comm -12 "$work/$name/undefined" "$OUT/tmp/defined" | comm -23 - "$work/$name/defined" | paste -sd ' ')
	if [ -n "$lost" ]; then
		rm -f "$work/$name/.passed"
		sed -i -E "s/^($name\t.*)\t[^\t]*$/\1\tfailed: would not link: ${lost:0:200}/" "$table"
	fi
done

echo
print_table "$table"
passed=$(tail -n +2 "$table" | grep -cE $'\t(ok|unchanged)$' || true)
failed=$((${#names[@]} - passed))
((failed == 0)) || echo "logs: $work/NAME.log, warnings: $work/NAME/left"
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))
