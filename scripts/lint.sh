#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lint.sh: what the kernel's own tools (checkpatch, kernel-doc, sparse, W=1, the
# semantic patches, the documentation build), and the shell's and Python's, say
# about the files of the repository. Lines that match scripts/lint-exceptions are only
# counted. Fails when there is any other.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$(dirname "$0")/.."
tree=$OUT/linux
found=$OUT/tmp/lint
mkdir -p "$found"
rm -f "$found"/*.left

# report NAME: findings, one per line, come from stdin
report()
{
	sed '/^[[:space:]]*$/d' >"$found/$1"
	# shellcheck disable=SC2094
	awk -F '\t+' '!/^#/ && NF > 1 { print $1 }' scripts/lint-exceptions |
		{ grep -vE -f - "$found/$1" || true; } >"$found/$1.left"
	printf '%-12s %4d findings, %d excepted\n' "$1" "$(wc -l <"$found/$1.left")" \
		$(($(wc -l <"$found/$1") - $(wc -l <"$found/$1.left")))
	sed 's/^/  /' "$found/$1.left"
}

# The files: new ones (as the tree has them), and all that a patch touches.
mapfile -t new < <(scripts/tree.py files --new)
mapfile -t all < <(scripts/tree.py files)
mapfile -t own < <(find scripts .ci -type f ! -name '*.pyc')

# of PATTERN FILE...: the files whose name matches
of()
{
	local pattern=$1

	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | grep -E "$pattern" || true
}

shells()
{
	grep -lE '^#!.*\b(ba|da)?sh\b|shellcheck shell=' "$@" 2>/dev/null || true
}

# On the patches as they are mailed: they have all new files in them. One line per
# finding, "path:line: LEVEL: type:WHAT: text".
checkpatch()
{
	local who=(env "GIT_COMMITTER_NAME=$(git config user.name || echo nobody)"
		"GIT_COMMITTER_EMAIL=$(git config user.email || echo nobody@localhost)")

	"${who[@]}" scripts/series.py >"$found/series.log" 2>&1 ||
		die "make series fails: $(tail -n 1 "$found/series.log")"
	pushd "$tree" >/dev/null
	{ perl scripts/checkpatch.pl --strict --terse --show-types --no-summary --showfile \
		"$OUT"/series/0*[1-9]-*.patch "$OUT"/series/0*[1-9]0-*.patch || true; } |
		sed -E "s|^$OUT/||; s/^([^:]+:[0-9]+: [A-Z]+):([A-Z_0-9]+): /\1: type:\2: /" | sort -u
	# what it has learned of the tree, which has to stay what the series makes of it
	rm -f .checkpatch-camelcase.*
	popd >/dev/null
}

kernel_doc()
{
	local files

	mapfile -t files < <(of '\.[ch]$' "${new[@]}")
	[ ${#files[@]} -gt 0 ] || return 0
	pushd "$tree" >/dev/null
	{ tools/docs/kernel-doc -none -Wall "${files[@]}" >/dev/null || true; } 2>&1
	popd >/dev/null
}

python_compile()
{
	local file

	{ of '\.py$' "${new[@]}"; of '\.py$' "${own[@]}"; } | while read -r file; do
		python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file" 2>&1 | tail -n 1
	done
}

# warnings TREE COMPILER: W=1, and with gcc sparse as well, of the directories with
# touched C files
warnings()
{
	local source=$1 build=$1/.lint log=$OUT/build/lint.${1##*/}.$2.log dirs config
	local make=(env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u KERNEL make -C "$source" ARCH=x86_64 LOCALVERSION=)
	local options=(W=1 C=1)
	local checks='sparse and W=1'

	case $2 in
	clang-*)
		build=$source/.build-lint-clang
		make+=("LLVM=-${2#clang-}")
		options=(W=1)
		checks="W=1, by $2"
		;;
	esac
	make+=("O=$build")
	config=$OUT/build/framework/.config
	[ "$source" = "$tree" ] || config=$OUT/build/mainline/.config
	mkdir -p "$build"
	{
		cat "$config"
		# The tests are code as well; what finds mistakes as they run finds none here.
		cat "$tree"/drivers/iommu/kdump/{.,bench.}kunitconfig | grep -vE 'KASAN|LOCKING|DEBUG|FAIL|FAULT'
	} >"$build/.config"
	mapfile -t dirs < <(of '^(arch|block|drivers|fs|init|kernel|lib|mm|net|security)/.*\.c$' "${all[@]}" |
		xargs -r -n 1 dirname | sort | awk 'top == "" || index($0 "/", top "/") != 1 { top = $0; print $0 "/" }')
	: >"$log"
	[ ${#dirs[@]} -gt 0 ] || return 0
	echo "building ${dirs[*]} of $source with $checks" >&2
	"${make[@]}" olddefconfig prepare >"$log" 2>&1 ||
		die "cannot prepare the build for $checks: $(tail -n 1 "$log") (log: $log)"
	# Only what is compiled is looked at, so compile all of it.
	(cd "$build" && find "${dirs[@]}" -name '*.o' -delete 2>/dev/null) || true
	"${make[@]}" "${options[@]}" -k -j"$(nproc)" "${dirs[@]}" >>"$log" 2>&1 || true
	{ grep -hE '^[^ ]+:[0-9]+(:[0-9]+)?: (warning|error)|\*\*\* ' "$log" || true; } | sed 's|^\.\./||' | sort -u
}

# compiler NAME: in a file that was there before, only warnings that are new count.
compiler()
{
	local pattern line

	printf '%s\n' "${all[@]}" >"$found/all"
	warnings "$tree" "$1" >"$found/ours"
	{ grep -F -f <(sed 's/$/:/' "$found/all") "$found/ours" || true; grep '\*\*\* ' "$found/ours" || true; } >"$found/touched"
	printf '%s:\n' "${new[@]}" >"$found/new"
	grep -vqF -f "$found/new" "$found/touched" || { cat "$found/touched"; return 0; }
	pattern='s/:[0-9]+(:[0-9]+)?:/:/'
	warnings "$OUT/base" "$1" | sed -E "$pattern" | sort -u >"$found/theirs"
	while IFS= read -r line; do
		sed -E "$pattern" <<<"$line" | grep -qxF -f "$found/theirs" || echo "$line"
	done <"$found/touched"
}

# Each new header has to compile by itself.
headers()
{
	local build=$tree/.lint header probe=$found/header.c
	local flags

	# The flags of any file that was compiled, without the file
	flags=$(sed -n 's/^savedcmd_[^=]* := *gcc //p' "$build/drivers/iommu/kdump/.core.o.cmd" |
		sed -E 's/ -o [^ ]+ .*//; s/ -Wp,-MMD,[^ ]+//')
	[ -n "$flags" ] || die "drivers/iommu/kdump/core.o has not been built: see $OUT/build/lint.linux.gcc.log"
	of '\.h$' "${new[@]}" | while read -r header; do
		echo "#include \"$tree/$header\"" >"$probe"
		# shellcheck disable=SC2086
		(cd "$build" && eval "gcc $flags -fsyntax-only $(printf %q "$probe")") 2>&1 |
			grep -E 'error|warning' | head -n 1 | sed "s|^|$header: |" || true
	done
}

# The semantic patches that come with the kernel, on the directories of new files.
coccicheck()
{
	local build=$tree/.lint dir

	of '\.c$' "${new[@]}" | xargs -r -n 1 dirname | grep -v '^tools/' | sort -u | while read -r dir; do
		echo "semantic patches on $dir" >&2
		env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u KERNEL make -s -C "$tree" O="$build" \
			MODE=report J=1 coccicheck M="$dir" 2>/dev/null || true
	done | grep -E '^[^ ]+\.[ch]:[0-9]+' | sed "s|^$tree/||; s|^\./||" |
		grep -F -f <(printf '%s:\n' "${new[@]}") | sort -u || true
}

documentation()
{
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u KERNEL make -s -C "$tree" O="$OUT/build/doc" \
		SPHINXDIRS=iommu htmldocs 2>&1 | grep -vE '^Using |^ *$' || true
}

checkpatch | report checkpatch
kernel_doc | sort -u | report kernel-doc
if command -v codespell >/dev/null; then
	{ codespell -q 3 -L hda,ssee,nd,sade,sxl,namd,hart -S scripts/lint-exceptions "${new[@]}" "${own[@]}" patches README.md 2>/dev/null || true; } | report codespell
fi
if command -v shellcheck >/dev/null; then
	mapfile -t files < <(shells "${new[@]}" "${own[@]}")
	{ [ ${#files[@]} -eq 0 ] || shellcheck -x -f gcc "${files[@]}" || true; } | report shellcheck
fi
python_compile | report python
compiler gcc | report gcc
compiler clang-19 | report clang
headers | report headers
if command -v spatch >/dev/null; then
	coccicheck | report coccicheck
fi
if command -v sphinx-build >/dev/null; then
	mkdir -p "$OUT/build/doc"
	documentation | report htmldocs
fi

total=$(cat "$found"/*.left | wc -l)
echo "$total findings"
((total == 0))
