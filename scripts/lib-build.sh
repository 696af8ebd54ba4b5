# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the scripts beside this file that build kernels in many ways: matrix.sh,
# bisect.sh, regress.sh, bases.sh and bench.sh. Read lib.sh first.

repeatable_builds "$OUT"

# Nothing that was said to the make above is meant for the kernel's.
unset MAKEFLAGS MFLAGS MAKELEVEL LINUX LINUX_TARBALL FORCE PATCH FILES

# kernel_make SOURCE BUILD ARCH COMPILER: set the array "make" to the command
kernel_make()
{
	local launcher=

	! command -v ccache >/dev/null || launcher='ccache '
	make=(env -u OUT -u CACHE -u KERNEL -u SUITE -u CC -u KDUMP_LOCKED make -C "$1" "O=$2" "ARCH=$3" LOCALVERSION=)
	case $4 in
	clang-*)	make+=("LLVM=-${4#clang-}" "CC=$launcher$4" "HOSTCC=${launcher}gcc") ;;
	*-gcc)		make+=("CROSS_COMPILE=${4%gcc}" "CC=$launcher$4" "HOSTCC=${launcher}gcc") ;;
	*)		make+=("CC=$launcher$4" "HOSTCC=${launcher}gcc") ;;
	esac
}

# fragment NAME: the file that a name in a configuration stands for
fragment()
{
	local here

	here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
	case $1 in
	rig)	echo "$OUT/linux/tools/testing/selftests/iommu/kdump/config" ;;
	kunit)	echo "$OUT/linux/drivers/iommu/kdump/.kunitconfig" ;;
	generic_pt)	echo "$OUT/base/drivers/iommu/generic_pt/.kunitconfig" ;;
	selftests)	echo "$OUT/base/tools/testing/selftests/iommu/config" ;;
	*)	echo "$here/configs/$1.config" ;;
	esac
}

# lost_options CONFIG-FILE OPTION...: those that are not as they were asked for
lost_options()
{
	local config=$1 option

	shift
	for option in "$@"; do
		option=CONFIG_${option#CONFIG_}
		case $option in
		*=n)	! grep -q "^${option%%=*}=" "$config" ;;
		*)	grep -qxF "$option" "$config" ;;
		esac || echo "${option#CONFIG_}"
	done
}

# configure BUILD LOG CONFIG OPTION...: CONFIG is a target of the kernel's make
# and fragments on top of it (tinyconfig+rig). Ends with 1 and the line that says
# why if that did not give the options. Wants the array "make".
configure()
{
	local build=$1 log=$2 config=$3 part lost

	shift 3
	mkdir -p "$build"
	cp "$build/.config" "$build/.config.before" 2>/dev/null || true
	if ! "${make[@]}" "${config%%+*}" >"$log" 2>&1; then
		echo "make ${config%%+*} failed: $(tail -n 1 "$log")"
		return 1
	fi
	while [[ $config == *+* ]]; do
		config=${config#*+}
		part=$(fragment "${config%%+*}")
		if ! grep -E '^CONFIG_[A-Za-z0-9_]+=' "$part" >>"$build/.config"; then
			echo "no options in $part"
			return 1
		fi
	done
	# The last setting of an option counts.
	[ $# -eq 0 ] || printf 'CONFIG_%s\n' "${@#CONFIG_}" >>"$build/.config"
	if ! "${make[@]}" olddefconfig >>"$log" 2>&1; then
		echo "make olddefconfig failed: $(tail -n 1 "$log")"
		return 1
	fi
	lost=$(lost_options "$build/.config" "$@" | paste -sd ' ')
	# Without news the time stamp stays, or everything would be looked at again.
	if cmp -s "$build/.config" "$build/.config.before"; then
		mv "$build/.config.before" "$build/.config"
	fi
	if [ -n "$lost" ]; then
		echo "configuration has not kept $lost"
		return 1
	fi
}

# compiled LOG: how many objects a build has made so far
compiled()
{
	echo "$(grep -cE '^  (CC|AS|CC \[M\]) ' "$1" || true) objects"
}

# stop_process PID: with all that it has started
stop_process()
{
	local child

	for child in $(ps -o pid= --ppid "$1"); do
		stop_process "$child"
	done
	kill "$1" 2>/dev/null || true
}

# A run that is interrupted ends what it has started.
stop_children()
{
	local pid

	for pid in $(jobs -p); do
		stop_process "$pid"
	done
}
trap stop_children EXIT
trap 'exit 130' INT TERM HUP

# kunit_of_tree NAME TREE BUILD LOG: run the framework's KUnit suites, those that
# the tree has; sets tests to what they gave, after "FAILED: " if they do not pass
kunit_of_tree()
{
	local name=$1 tree=$2 build=$3 log=$4 suites=kunit_iommu status=0 lent=
	local config=drivers/iommu/kdump/.kunitconfig own

	own=$tree/$config
	if [ ! -e "$own" ]; then
		# A tree that has the IOMMU for tests, but not the tests of the framework yet.
		lent=$own
		mkdir -p "$(dirname "$own")"
		grep -v '^CONFIG_IOMMU_KDUMP_KUNIT_TEST' "$OUT/linux/$config" >"$own"
	fi
	! compgen -G "$tree/drivers/iommu/kdump/*_kunit.c" >/dev/null || suites+=' *_kdump*'
	[ ! -e "$tree/drivers/iommu/generic_pt/kunit_iommu_foreign.h" ] || suites+=' *_foreign_test'
	KUNIT_TREE=$tree KUNIT_BUILD=$build FILTER=$suites "$here/kunit.sh" >"$log" 2>&1 &
	watch $! "$name, KUnit" tail -n 1 "$log" || status=$?
	[ -z "$lent" ] || rm -f "$lent"
	tests=$(tail -n 1 "$log")
	[[ $status = 0 && $tests =~ ^[1-9][0-9]*\ passed,\ 0\ failed ]] || tests="FAILED: $tests"
}

# found_warnings LOG: warnings and errors, with paths as the source tree has them
found_warnings()
{
	{ grep -hE '^[^ ]+:[0-9]+(:[0-9]+)?: (warning|error|fatal error)|^(ld|[^ ]*: in function|[^ ]*-ld): |undefined reference|^WARNING: modpost|^ERROR: modpost|\*\*\* ' "$1" || true; } |
		sed -E "s,^((\.\./)+|$OUT/)((linux|base|bisect)/)?,," | sort -u
}

# without_lines: leave the line numbers out, which move with every edit
without_lines()
{
	sed -E 's/:[0-9]+(:[0-9]+)?:/:/'
}

# tree_stamp DIR: changes when a source file of the tree does
tree_stamp()
{
	(cd "$1" && find . \( -path './.build*' -o -path ./.lint -o -path ./.git -o -path ./Documentation \) -prune -o \
		-type f -printf '%P %s %T@\n' | sort | sha256sum)
}

# print_table FILE: lines with tabs between the columns, the first one the head
print_table()
{
	awk -F '\t' '
		{ for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > w[i]) w[i] = length($i) }
		  if (NF > n) n = NF }
		END { for (r = 1; r <= NR; r++) {
			line = ""
			for (i = 1; i <= n; i++) line = line sprintf(i < n ? "%-" w[i] "s  " : "%s", cell[r, i])
			sub(/ +$/, "", line); print line } }' "$1"
}
