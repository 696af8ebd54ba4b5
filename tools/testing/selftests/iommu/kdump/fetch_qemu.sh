#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_qemu.sh DIR: put the QEMU of Debian's trixie-backports, with all that it
# depends on, into DIR/qemu-11. It is started by DIR/qemu-11/qemu-system-x86_64.
# How, and what the exit status means: fetch_debian.sh.
set -euo pipefail

WHAT="QEMU 11"
NAME=qemu-11
SUITES="trixie trixie-backports"
PACKAGES=(qemu-system-x86 qemu-system-data seabios ipxe-qemu)
NEED_MIB=600
DOWNLOAD_MIB=40

# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$(dirname "$0")/fetch_debian.sh"

# Debian's own libraries, and not those of the system
write_starters()
{
	cat >"$1/qemu-system-x86_64" <<'END'
#!/bin/sh
root=$(dirname "$(realpath "$0")")/root
lib=$root/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$lib/qemu"
exec "$lib/ld-linux-x86-64.so.2" \
	--library-path "$lib:$lib/pulseaudio:$lib/blas:$lib/lapack:$lib/samba:$lib/ceph" \
	"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" \
	-L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
END
	chmod 755 "$1/qemu-system-x86_64"
}

try()
{
	"$1/qemu-system-x86_64" --version | head -n 1
}

[ $# = 1 ] || { echo "usage: fetch_qemu.sh DIR" >&2; exit 2; }
fetch_into "$1" "${PACKAGES[@]}"
