#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mutate.sh: break the code on purpose, one line at a time, and see the tests fail.
#
#   MUTANTS=pattern   only the mutants whose name matches this regular expression
#   MUTATE_TIMEOUT    seconds until a mutant counts as hung (150)
#
# scripts/mutants says what is broken and which tests must notice. Each mutant is
# put into a private copy of the tree, built and run. A mutant that no test notices
# has survived: a test is missing. One that does not apply any more or does not
# build is an error, as is a test that fails without any mutant.
#
# The KUnit kernel is built without sanitizer and lock checker here: a mutant must
# be noticed by what the tests ask, and it takes a third of the time.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

source=${KUNIT_TREE:-$OUT/linux}
work=$OUT/mutate
tree=$work/linux
list=$here/mutants
pattern=${MUTANTS:-.}
builds=${KUNIT_BUILD:-$OUT/build/kunit-fast}
export FAST=1 KUNIT_TREE=$tree KUNIT_BUILD=$builds
export KUNIT_TIMEOUT=${MUTATE_TIMEOUT:-150}
# Few corrupted tables: what is missed by these is missed by chance.
ARGS=
for format in amdv1 vtdss riscv64 x86_64 armv8_4k armv8_16k armv8_64k; do
	ARGS+="kunit_iommu_$format.corruptions=300 "
done
export ARGS

command -v rsync >/dev/null || die "rsync is missing: make setup, or apt-get install rsync"
[ -d "$source" ] || die "there is no $source: run 'make tree'"

# mutants COMMAND...: what is in the list
mutants()
{
	python3 - "$list" "$tree" "$@" <<'EOF'
import os
import re
import sys


def read(path):
    """Yield (name, file, filter, old text, new text)."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if line.startswith("@@ "):
            words = line[3:].split()
            if len(words) != 3:
                sys.exit(f"error: {where}: '@@ name file filter' expected")
            found.append(words + [[], []])
        elif line[:1] in (" ", "-", "+") and found:
            if line[0] != "+":
                found[-1][3].append(line[1:])
            if line[0] != "-":
                found[-1][4].append(line[1:])
        elif line and not line.startswith("#"):
            sys.exit(f"error: {where}: not a line of a mutant")
    names = [m[0] for m in found]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"error: {path}: two mutants are called {name}")
    return [(n, f, t, "\n".join(o) + "\n", "\n".join(w) + "\n") for n, f, t, o, w in found]


class DoesNotApply(Exception):
    pass


def mutated(tree, mutant):
    name, file, _, old, new = mutant
    with open(os.path.join(tree, file), encoding="utf-8") as f:
        text = f.read()
    # Whole lines only
    count = ("\n" + text).count("\n" + old)
    if count != 1 or old == new:
        what = "is not there" if not count else f"is there {count} times"
        raise DoesNotApply(f"{name} does not apply to {file} any more: its text {what}")
    return ("\n" + text).replace("\n" + old, "\n" + new)[1:]


def store(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)


path, tree, command, *arguments = sys.argv[1:]
mutants = read(path)
if command == "list":
    good = True
    for m in mutants:
        if not re.search(arguments[0], m[0]):
            continue
        try:
            mutated(tree, m)
            print(*m[:3])
        except DoesNotApply as error:
            print(f"error: {error}", file=sys.stderr)
            good = False
    if not good:
        sys.exit("error: write these anew in scripts/mutants")
elif command == "apply":
    mutant = next(m for m in mutants if m[0] == arguments[0])
    store(os.path.join(tree, mutant[1]), mutated(tree, mutant))
EOF
}

mkdir -p "$work"
need_space "${NEED_MIB:-5000}" "the copy of the tree and its kernel"
start=$SECONDS
# What differs from the last copy, a mutant that an interrupted run has left for one,
# is touched: it may be older than what was built from the other version.
rsync -a --delete --exclude=/.git --exclude='/.build*' --exclude=/.lint --out-format=%n "$source/" "$tree/" >"$work/files"
(cd "$tree" && grep -v -e '/$' -e '^deleting ' "$work/files" | tr '\n' '\0' | xargs -0r touch -ch) || true
mutants list "$pattern" >"$work/list"
total=$(wc -l <"$work/list")
((total > 0)) || die "no mutant matches MUTANTS=$pattern: the names are in scripts/mutants"

# test_tree FILTER: 0 if all tests passed. Those of arm64: have a kernel of their own.
test_tree()
{
	unset KUNIT_ARCH
	KUNIT_BUILD=$builds
	if [[ $1 == arm64:* ]]; then
		export KUNIT_ARCH=arm64
		KUNIT_BUILD=$builds-arm64
	fi
	rm -f "$KUNIT_BUILD/test.log"
	FILTER=${1#arm64:} "$here/kunit.sh" >"$work/run.log" 2>&1
}

# Which test has failed first, or what else was wrong
killer()
{
	local log=$KUNIT_BUILD/test.log name

	name=$(sed -n 's/^ \{4,\}not ok [0-9]* \([^ ]*\).*/\1/p' "$log" | head -n 1)
	if [ -z "$name" ]; then
		name=$(grep -aoE -m 1 'KASAN: [a-z-]*|WARNING: .*|BUG: .*|Oops: .*|Kernel panic.*' "$log" || true)
	fi
	echo "${name:-no end of the tests}"
}

echo "$total mutants; first the tests without any"
cut -d ' ' -f 3 "$work/list" | sort -u >"$work/filters"
while read -r filter <&3; do
	if ! test_tree "$filter"; then
		tail -n 30 "$work/run.log" >&2
		die "the tests of $filter fail without any mutant: see $work/run.log"
	fi
	echo "    $filter: $(tail -n 1 "$work/run.log"), $(elapsed "$start")"
done 3<"$work/filters"

restore()
{
	cp "$work/good" "$tree/$file"
}

survivors=()
invalid=()
killed=0
n=0
while read -r name file filter <&3; do
	n=$((n + 1))
	one=$SECONDS
	cp -p "$tree/$file" "$work/good"
	# Put back however this ends. Newer than the mutant, so that it is built again.
	trap restore EXIT
	mutants apply "$name"
	if test_tree "$filter"; then
		verdict="SURVIVED"
		survivors+=("$name ($file)")
	elif [ ! -e "$KUNIT_BUILD/test.log" ]; then
		verdict="INVALID, it does not build"
		cp "$KUNIT_BUILD/build.log" "$work/$name.log"
		invalid+=("$name: see $work/$name.log")
	else
		verdict="killed by $(killer)"
		killed=$((killed + 1))
	fi
	restore
	trap - EXIT
	printf '%3d/%d %-32s %s (%s)\n' "$n" "$total" "$name" "$verdict" "$(elapsed "$one")"
done 3<"$work/list"

[ ${#survivors[@]} -eq 0 ] || printf 'survived: %s\n' "${survivors[@]}"
[ ${#invalid[@]} -eq 0 ] || printf 'invalid: %s\n' "${invalid[@]}"
echo "$total mutants: $killed killed, ${#survivors[@]} survived, ${#invalid[@]} invalid, $(elapsed "$start")"
((killed == total))
