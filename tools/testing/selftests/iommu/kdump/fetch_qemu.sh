#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_qemu.sh DIR [x86|riscv|arm]: put the QEMU of Debian's trixie-backports, with all that
# it depends on, into DIR/qemu-11, DIR/qemu-11-riscv or DIR/qemu-11-arm. It is started by
# qemu-system-x86_64, qemu-system-riscv64 or qemu-system-aarch64 there.
# How, and what the exit status means: fetch_debian.sh.
set -euo pipefail

usage()
{
	echo "usage: fetch_qemu.sh DIR [x86|riscv|arm]" >&2
	exit 2
}

[ $# = 1 ] || [ $# = 2 ] || usage
SUITES="trixie trixie-backports"
NEED_MIB=600
case ${2:-x86} in
x86)
	WHAT="QEMU 11"
	NAME=qemu-11
	PROGRAM=qemu-system-x86_64
	PACKAGES=(qemu-system-x86 qemu-system-data seabios ipxe-qemu)
	DOWNLOAD_MIB=40
	;;
riscv)
	WHAT="QEMU 11 for RISC-V"
	NAME=qemu-11-riscv
	PROGRAM=qemu-system-riscv64
	PACKAGES=(qemu-system-riscv qemu-system-data ipxe-qemu)
	DOWNLOAD_MIB=60
	;;
arm)
	WHAT="QEMU 11 for Arm"
	NAME=qemu-11-arm
	PROGRAM=qemu-system-aarch64
	PACKAGES=(qemu-system-arm qemu-system-data ipxe-qemu)
	DOWNLOAD_MIB=60
	;;
*)	usage ;;
esac

# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$(dirname "$0")/fetch_debian.sh"

# Debian's own libraries, and not those of the system
write_starters()
{
	sed "s/PROGRAM/$PROGRAM/" >"$1/$PROGRAM" <<'END'
#!/bin/sh
root=$(dirname "$(realpath "$0")")/root
lib=$root/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$lib/qemu"
exec "$lib/ld-linux-x86-64.so.2" \
	--library-path "$lib:$lib/pulseaudio:$lib/blas:$lib/lapack:$lib/samba:$lib/ceph" \
	"$root/usr/bin/PROGRAM" -L "$root/usr/share/qemu" \
	-L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
END
	chmod 755 "$1/$PROGRAM"
}

try()
{
	"$1/$PROGRAM" --version | head -n 1
}

fetch_into "$1" "${PACKAGES[@]}"
