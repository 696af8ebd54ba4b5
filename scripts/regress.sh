#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# regress.sh: tests that came with the kernel, on the unmodified kernel and on the
# framework's: KUnit of the IOMMU area, and tools/testing/selftests/iommu. Every
# test has to end alike on both; one that fails on both has to be in
# scripts/regress.known.
#
#   REGRESS_TIMEOUT   seconds until a machine counts as hung (5400)
#
# Both kernels are built in one tree, so that the second is built from what is
# different. A kernel that did not change since its results came is not run again.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$(dirname "$0")/lib-build.sh"

here=$(realpath "$(dirname "$0")")
work=$OUT/regress
tree=$work/linux
build=$tree/.build
programs=(iommufd iommufd_fail_nth)
config=tinyconfig+regress+generic_pt+selftests
options=(KUNIT=y IOMMU_PT_KUNIT_TEST=y IOMMU_IO_PGTABLE_LPAE_KUNIT_TEST=y IOMMUFD=y IOMMUFD_TEST=y
	FAULT_INJECTION_DEBUG_FS=y FAILSLAB=y HUGETLBFS=y TRANSPARENT_HUGEPAGE=y SMP=n
	INTEL_IOMMU=y AMD_IOMMU=y CRASH_DUMP=y)
timeout=${REGRESS_TIMEOUT:-5400}
unset REGRESS_TIMEOUT

# touched: every file in which out/linux and out/base differ
touched()
{
	{
		"$here/tree.py" files
		"$here/tree.py" status | sed -nE 's/^(edited|new|deleted): //p'
	} | sort -u
}

# make_tree: a copy of out/base; what is different in it is taken along by lay()
make_tree()
{
	local new=$work/new

	! cmp -s "$OUT/state/base.id" "$work/tree.id" || return 0
	need_space "${NEED_MIB:-4500}" "a tree for the kernels of the regression tests"
	echo "copying out/base to out/regress/linux"
	rm -rf "$new" "$work/tree.id"
	mkdir -p "$new"
	find "$OUT/base" -mindepth 1 -maxdepth 1 ! -name '.build*' ! -name .lint ! -name .git \
		-exec cp -a --reflink=auto -t "$new" {} +
	rm -rf "$tree"
	mv "$new" "$tree"
	cp "$OUT/state/base.id" "$work/tree.id"
}

# lay DIR: the touched files as DIR has them
lay()
{
	local path

	# What was laid the last time may not be touched any more.
	touch "$work/laid"
	sort -u "$work/laid" "$work/touched" >"$work/laid.new"
	mv "$work/laid.new" "$work/laid"
	while IFS= read -r path; do
		if [ ! -e "$1/$path" ]; then
			rm -f "$tree/$path"
		elif ! cmp -s "$1/$path" "$tree/$path"; then
			mkdir -p "$(dirname "$tree/$path")"
			cp "$1/$path" "$tree/$path"
		fi
	done <"$work/laid"
}

# build_kernel NAME DIR
build_kernel()
{
	local name=$1 log=$work/$1.build.log why extra=() start=$SECONDS

	lay "$2"
	[ "$name" = unmodified ] || extra=(IOMMU_KDUMP=y)
	kernel_make "$tree" "$build" x86_64 "${CC:-gcc}"
	why=$(configure "$build" "$log.config" "$config" "${options[@]}" "${extra[@]}") ||
		die "$name kernel: $why: see scripts/configs/regress.config"
	"${make[@]}" -j"$(nproc)" bzImage >"$log" 2>&1 &
	watch $! "$name kernel" compiled "$log" || {
		grep -E -m 10 -A 3 ' error: |undefined reference|\*\*\* ' "$log" >&2 || tail -n 10 "$log" >&2
		die "the $name kernel does not build: see $log"
	}
	cp "$build/arch/x86/boot/bzImage" "$work/$name.bzImage.new"
	mv "$work/$name.bzImage.new" "$work/$name.bzImage"
	echo "$name kernel: built in $(elapsed "$start")"
}

# build_programs: as the kernel's Makefile for them does, but static
build_programs()
{
	local name source=$OUT/base/tools/testing/selftests/iommu log=$work/programs.log

	kernel_make "$tree" "$build" x86_64 "${CC:-gcc}"
	"${make[@]}" headers >"$log" 2>&1 || die "make headers failed: $(tail -n 1 "$log") (log: $log)"
	mkdir -p "$work/root/bin"
	for name in "${programs[@]}"; do
		cmp -s "$source/$name.c" "$OUT/linux/tools/testing/selftests/iommu/$name.c" ||
			die "$name.c is not the same in out/base and out/linux: what is compared here has to be code that is not ours"
		"${CC:-gcc}" -static -Wall -O2 -Wno-unused-function -D_GNU_SOURCE= -isystem "$build/usr/include" \
			-I "$source/.." -o "$work/root/bin/$name" "$source/$name.c" -lcap >>"$log" 2>&1 ||
			die "$name does not build: $(grep -m 1 error "$log" || tail -n 1 "$log") (log: $log)"
	done
}

build_initrd()
{
	local busybox

	busybox=$(PATH=$PATH:/usr/sbin:/sbin command -v busybox) || die "there is no busybox: run make setup"
	mkdir -p "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp"
	cp "$busybox" "$work/root/bin/busybox"
	{
		cat <<-'END'
			#!/bin/busybox sh
			/bin/busybox mount -t proc proc /proc
			/bin/busybox mount -t sysfs sysfs /sys
			/bin/busybox mount -t debugfs debugfs /sys/kernel/debug
			/bin/busybox mount -t devtmpfs devtmpfs /dev
			/bin/busybox mount -t tmpfs tmpfs /tmp
			# From here on the console belongs to the tests.
			/bin/busybox dmesg -n 1
			echo 128 >/proc/sys/vm/nr_hugepages
			echo
		END
		for name in "${programs[@]}"; do
			echo "echo '@@ program $name'"
			echo "/bin/$name"
			# shellcheck disable=SC2016
			echo 'echo "@@ status $?"'
		done
		echo "echo '@@ log'"
		echo "/bin/busybox dmesg | /bin/busybox grep -E 'WARNING: |BUG: |Oops: |general protection|KASAN: '"
		echo "echo '@@ end'"
		echo '/bin/busybox reboot -f'
	} >"$work/root/init"
	chmod +x "$work/root/init"
	(cd "$work/root" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible | gzip -n) >"$work/initrd"
}

tests_so_far()
{
	echo "$(grep -cE '^ *(not )?ok [0-9]' "$1" || true) tests"
}

# results_of LOG: a line per test: name, a tab, and how it ended. A name that
# comes more than once is counted through.
results_of()
{
	tr -d '\r' <"$1" | awk '
		/^@@ program / { program = $3; next }
		/^@@ status / { print program ": exit status\t" ($3 == 0 ? "passed" : "failed"); program = ""; next }
		/^@@ / { program = ""; next }
		/^ *# Subtest: / {
			match($0, /^ */)
			sub(/^ *# Subtest: /, "")
			parent[RLENGTH / 4] = $0
			next
		}
		/^ *(not )?ok [0-9]+ / {
			match($0, /^ */)
			depth = RLENGTH / 4
			how = ($0 ~ /^ *not /) ? "failed" : "passed"
			if ($0 ~ /# SKIP/)
				how = "skipped"
			sub(/^ *(not )?ok [0-9]+ (- )?/, "")
			sub(/ *#.*/, "")
			name = program == "" ? "KUnit: " : program ": "
			for (i = 1; i <= depth; i++)
				name = name parent[i] "."
			name = name $0
			if (seen[name]++)
				name = name " (" seen[name] ")"
			print name "\t" how
		}' | sort
}

# run_kernel NAME: its results go to NAME.results
run_kernel()
{
	local name=$1 log=$work/$1.log hung=0 start=$SECONDS key name_of

	key=$(cat "$work/$name.bzImage" "$work/initrd" "$0" | sha256sum)
	if [ "$key" = "$(cat "$work/$name.ran" 2>/dev/null)" ] && [ -s "$work/$name.results" ]; then
		echo "$name kernel: as in the last run"
		return
	fi
	rm -f "$work/$name.ran" "$work/$name.results"
	: >"$log"
	timeout "$timeout" qemu-system-x86_64 -nodefaults -machine q35 -accel tcg -cpu max -m 2G -no-reboot \
		-display none -serial stdio -kernel "$work/$name.bzImage" -initrd "$work/initrd" \
		-append "console=ttyS0,115200 panic=-1 kunit.enable=1" </dev/null >"$log" 2>&1 &
	watch $! "$name kernel" tests_so_far "$log" || hung=$?
	((hung != 124)) || die "$name kernel: no end after $timeout seconds, the last line is: $(tail -n 1 "$log" | tr -d '\r') (log: $log)"
	grep -q '^@@ end' "$log" ||
		die "$name kernel: the machine ended before the tests did: $(grep -m 1 -E 'Kernel panic|Oops|BUG:' "$log" || tail -n 1 "$log") (log: $log)"
	results_of "$log" >"$work/$name.results"
	for name_of in KUnit "${programs[@]}"; do
		[ "$(grep -c "^$name_of: " "$work/$name.results")" -gt 1 ] ||
			die "$name kernel: no result of $name_of: see $log"
	done
	tr -d '\r' <"$log" | sed -n '/^@@ log/,/^@@ end/p' | grep -v '^@@' >"$work/$name.complaints" || true
	echo "$key" >"$work/$name.ran"
	echo "$name kernel: ran $(wc -l <"$work/$name.results") tests in $(elapsed "$start")"
}

mkdir -p "$work"
make_tree
touched >"$work/touched"
config_key=$(cat "$here/configs/regress.config" "$here/lib-build.sh" "$0" | sha256sum; "${CC:-gcc}" --version)
for pair in unmodified:base framework:linux; do
	name=${pair%:*}
	source=$OUT/${pair#*:}
	stamp=$({ cat "$OUT/state/base.id"; while read -r path; do
		[ ! -e "$source/$path" ] || sha256sum <"$source/$path"
	done <"$work/touched"; echo "$config_key"; } | sha256sum)
	if [ "$stamp" != "$(cat "$work/$name.built" 2>/dev/null)" ] || [ ! -e "$work/$name.bzImage" ]; then
		rm -f "$work/$name.built"
		build_kernel "$name" "$source"
		echo "$stamp" >"$work/$name.built"
	fi
done
build_programs
build_initrd
run_kernel unmodified
run_kernel framework

# name, result on the unmodified kernel, result on the framework's
join -t $'\t' -a 1 -a 2 -e missing -o 0,1.2,2.2 "$work/unmodified.results" "$work/framework.results" >"$work/joined"
awk -F '\t' '$2 != $3 && $2 != "missing"' "$work/joined" >"$work/different"
awk -F '\t' '
	BEGIN { print "tests\tpassed on both\tfailed on both\tskipped on both\tdifferent\tnew with the framework" }
	{
		group = $1; sub(/: .*/, "", group)
		if (!(group in known)) { known[group]; order[++n] = group }
		if ($2 == "missing") added[group]++
		else if ($2 != $3) different[group]++
		else if ($2 == "failed") failed[group]++
		else if ($2 == "skipped") skipped[group]++
		else passed[group]++
	}
	END { for (i = 1; i <= n; i++) { g = order[i]
		print g "\t" passed[g] + 0 "\t" failed[g] + 0 "\t" skipped[g] + 0 "\t" different[g] + 0 "\t" added[g] + 0 } }' \
	"$work/joined" >"$work/table"
echo
print_table "$work/table"
mapfile -t known < <(grep -v '^#' "$here/regress.known")
: >"$work/unknown"
awk -F '\t' '$2 == "failed" && $3 == "failed" { print $1 }' "$work/joined" | while IFS= read -r name; do
	for glob in "${known[@]}"; do
		# shellcheck disable=SC2053
		if [[ $name == $glob ]]; then
			echo "fails on both, as known: $name"
			continue 2
		fi
	done
	echo "fails on both, and is not in scripts/regress.known: $name" | tee -a "$work/unknown"
done
awk -F '\t' '{ print "different: " $1 ": " $2 " on the unmodified kernel, " $3 " on the framework" }' "$work/different"

# Times and addresses differ from run to run, the kind and the place do not.
complaints()
{
	sed -E 's/^\[[^]]*\] *//; s/ at [^ ]*:[0-9]+/ at/; s/(CPU|PID): [0-9]+//g; s/\+0x.*//; s/0x[0-9a-f]+//g' "$1" | sort -u
}
comm -13 <(complaints "$work/unmodified.complaints") <(complaints "$work/framework.complaints") >"$work/complaints"
sed 's/^/the framework kernel complained: /' "$work/complaints"

# What is known to fail, or is skipped on both kernels, says nothing about the framework.
passed=$(awk -F '\t' '$2 == "passed" && $3 == "passed"' "$work/joined" | wc -l)
failed=$(cat "$work/different" "$work/complaints" "$work/unknown" | wc -l)
skipped=$(($(awk -F '\t' '$2 == $3 && $2 != "passed"' "$work/joined" | wc -l) - $(wc -l <"$work/unknown")))
# A test that came with the framework has its own place, but may not fail here either.
awk -F '\t' '$2 == "missing" && $3 == "failed" { print "fails, and is new: " $1 }' "$work/joined" | tee "$work/new"
failed=$((failed + $(wc -l <"$work/new")))
((passed > 0)) || die "no test passes on both kernels: see $work/unmodified.log and $work/framework.log"
((failed == 0)) || echo "logs: $work/unmodified.log and $work/framework.log"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
