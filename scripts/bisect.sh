#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bisect.sh: git am the patches of out/series one after the other to the
# unmodified kernel, build the test kernel at each step, and run the KUnit tests
# at each step that has them. In the end the tree has to be out/linux.
#
#   BISECT_FROM=N   apply the steps before N, but do not build them
#
# What a step gave is remembered under what it is made of, so a run goes on where
# the last one ended, and builds only from the first patch that has changed. Steps
# that change tools and documentation only are what the step before is. All steps
# share a build directory, so that a step compiles what its patch touches, and links.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$(dirname "$0")/lib-build.sh"

here=$(realpath "$(dirname "$0")")
work=$OUT/bisect
tree=$work/linux
build=$tree/.build
# As deep as the KUnit kernel of out/linux is, for the compiler cache.
kunit_build=$work/build/kunit
table=$work/table
from=${BISECT_FROM:-0}
unset BISECT_FROM

[[ $from =~ ^[0-9]+$ ]] || die "BISECT_FROM=$from: the number of a step is wanted"
mapfile -t patches < <(compgen -G "$OUT/series/*.patch" | grep -v /0000- | sort)
[ ${#patches[@]} -gt 0 ] || die "there is no series in $OUT/series: run make series first"

git_tree()
{
	git -C "$tree" -c core.hooksPath=/dev/null -c core.autocrlf=false -c gc.auto=0 \
		-c user.name=bisect -c user.email=bisect@localhost "$@"
}

# make_tree: a copy of out/base, of which git knows the files that are touched
make_tree()
{
	local id names new=$work/new

	names=$(grep -hE '^(---|\+\+\+) [ab]/' "${patches[@]}" | sed -E 's/^.... ?[ab]\///; s/\t.*//' | sort -u)
	id=$(cat "$OUT/state/base.id"; echo "$names" | sha256sum)
	if [ "$id" = "$(cat "$work/tree.id" 2>/dev/null)" ]; then
		# What an interrupted run left: a patch half applied, files half written.
		rm -rf "$tree/.git/rebase-apply" "$tree/.git/index.lock"
		git_tree reset -q --hard start
		echo "$names" | (cd "$tree" && while read -r name; do
			git ls-files --error-unmatch -- "$name" >/dev/null 2>&1 || rm -f "$name"
		done)
		return
	fi
	need_space "${NEED_MIB:-4500}" "a tree to apply the series to, and its builds"
	echo "copying out/base to out/bisect/linux"
	rm -rf "$new" "$work/tree.id"
	mkdir -p "$new"
	find "$OUT/base" -mindepth 1 -maxdepth 1 ! -name '.build*' ! -name .lint ! -name .git \
		-exec cp -a --reflink=auto -t "$new" {} +
	if [ -d "$build" ]; then
		mv "$build" "$new/.build"
	fi
	rm -rf "$tree"
	mv "$new" "$tree"
	git_tree init -q
	# Only the touched files count, and nobody looks for others.
	echo '*' >"$tree/.git/info/exclude"
	echo "$names" | (cd "$tree" && while read -r name; do [ ! -e "$name" ] || echo "$name"; done) |
		git_tree add -f --pathspec-from-file=-
	git_tree commit -q -m 'unmodified'
	git_tree tag start
	echo "$id" >"$work/tree.id"
}

# built_from: stands for the files that decide what is built
built_from()
{
	git_tree ls-files -s | grep -vE $'\t(Documentation|tools|MAINTAINERS)' || true
	cat "$OUT/state/base.id" "$(fragment rig)" "$here/lib-build.sh" "$here/bisect.sh" "$here/kunit.sh"
	"${CC:-gcc}" --version
}

# build_step NAME LOG: sets verdict, size and warnings (of those that are new)
build_step()
{
	local name=$1 log=$2 options=() why

	# The framework is built from its first patch on, long before drivers select it.
	! grep -qE '^config IOMMU_KDUMP$' "$tree/drivers/iommu/Kconfig" || options=(IOMMU_KDUMP=y)
	kernel_make "$tree" "$build" x86_64 "${CC:-gcc}"
	if ! why=$(configure "$build" "$log.config" tinyconfig+rig COMPILE_TEST=y INTEL_IOMMU=y AMD_IOMMU=y \
			"${options[@]}"); then
		verdict="no: $why"
		return
	fi
	"${make[@]}" -j"$(nproc)" vmlinux >"$log" 2>&1 &
	if ! watch $! "$name" compiled "$log"; then
		verdict="no: $(grep -m 1 -E ' error: |undefined reference|\*\*\* ' "$log" || tail -n 1 "$log")"
		return
	fi
	verdict=yes
	size=$(size "$build/vmlinux" | awk 'NR == 2 { print $1 + $2 + $3 }')
	# The unmodified kernel's own warnings are not the series'.
	if ((i == 0)); then
		found_warnings "$log" | without_lines | sort -u >"$work/warnings.base"
		: >"$log.warnings"
	else
		found_warnings "$log" | while IFS= read -r line; do
			without_lines <<<"$line" | grep -qsxF -f "$work/warnings.base" || echo "$line"
		done >"$log.warnings"
	fi
	warnings=$(wc -l <"$log.warnings")
}

mkdir -p "$work/steps" "$work/logs"
make_tree

time=
printf 'step\tpatch\tbuilds\twarnings\tbytes\tKUnit\ttime\n' >"$table"
passed=0 failed=0 skipped=0 before=
for ((i = 0; i <= ${#patches[@]}; i++)); do
	start=$SECONDS
	verdict=- warnings=0 size='' tests=- change=
	log=$work/logs/$i
	if ((i == 0)); then
		name='step 0' subject='(unmodified)'
	else
		name="step $i of ${#patches[@]}"
		subject=${patches[i - 1]##*/}
		if ! git_tree am -q --keep-cr "${patches[i - 1]}" >"$log" 2>&1; then
			git_tree am --abort >/dev/null 2>&1 || true
			printf '%s\t%s\tdoes not apply\n' "$i" "$subject" >>"$table"
			failed=$((failed + 1))
			echo "$name: git am says: $(head -n 1 "$log")"
			break
		fi
		subject=$(git_tree log -1 --format=%s)
	fi
	key=$(built_from | sha256sum | cut -c 1-40)
	if ((i < from)); then
		verdict='not asked for' warnings=-
		skipped=$((skipped + 1))
	elif [ -e "$work/steps/$key" ]; then
		# The same code, now or in an earlier run: the same result.
		IFS=$'\t' read -r verdict warnings size tests <"$work/steps/$key"
		time=known
	else
		build_step "$name" "$log"
		if [ "$verdict" = yes ] && [ -e "$tree/lib/kunit/iommu.c" ]; then
			kunit_of_tree "$name" "$tree" "$kunit_build" "$log.kunit"
		fi
		if [[ $verdict = yes && $warnings = 0 && $tests != FAILED* ]]; then
			printf '%s\t%s\t%s\t%s\n' "$verdict" "$warnings" "$size" "$tests" >"$work/steps/$key.new"
			mv "$work/steps/$key.new" "$work/steps/$key"
		fi
		time=$(elapsed "$start")
	fi
	if [ -n "$size" ]; then
		[ -z "$before" ] || change=$(printf ' (%+d)' $((size - before)))
		before=$size
	fi
	if ((i >= from)); then
		if [[ $verdict != yes || $warnings != 0 || $tests = FAILED* ]]; then
			failed=$((failed + 1))
		else
			passed=$((passed + 1))
		fi
		echo "$name: $subject: builds: $verdict, new warnings: $warnings, KUnit: $tests, $time"
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$i" "${subject:0:60}" "${verdict:0:60}" "$warnings" \
		"${size:--}$change" "$tests" "${time:-}" >>"$table"
	time=
done

if ((i > ${#patches[@]})); then
	echo "comparing the last step with out/linux, file by file"
	if diff -rq --no-dereference -x '.build*' -x .lint -x .git -x '.checkpatch-*' "$tree" "$OUT/linux" >"$work/different" 2>&1; then
		same="the last step is out/linux: $(find "$tree" \( -path "$tree/.build" -o -path "$tree/.git" \) -prune -o -type f -print | wc -l) files compared"
		passed=$((passed + 1))
	else
		same="the last step is not out/linux ($(wc -l <"$work/different") files differ): run make series, or see $work/different"
		head -n 5 "$work/different"
		failed=$((failed + 1))
	fi
else
	same="not all patches apply: the result is not compared with out/linux"
fi

echo
print_table "$table"
echo "$same"
((failed == 0)) || echo "logs: $work/logs/STEP, STEP.warnings and STEP.kunit"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
