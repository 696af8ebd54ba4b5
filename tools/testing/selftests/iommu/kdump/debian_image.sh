#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debian_image.sh DIR SUITE PROGRAMS IMAGE [BUILD]: a disk with a Debian that has kdump-tools
# installed as anybody installs it, the kernel of BUILD, and, below /rig, what is in
# the folder PROGRAMS. Without BUILD the kernel is Debian's own, and IMAGE.vmlinuz,
# IMAGE.initrd and IMAGE.release are what a boot loader would start. The system is made
# once, in DIR/debian-SUITE, from the mirror that the machine uses. No loop device and no
# mount is needed, but root is.
# Exit status 4: cannot be had here.
set -euo pipefail

WHAT="a Debian root file system"
PACKAGES=systemd-sysv,udev,kmod,procps,kexec-tools,makedumpfile,kdump-tools
IMAGE_MIB=1536
NEED_MIB=3000

here=$(dirname "$(realpath "$0")")
# shellcheck source=tools/testing/selftests/iommu/kdump/fetch_debian.sh
. "$here/fetch_debian.sh"

case $# in
4 | 5) ;;
*)	echo "usage: debian_image.sh DIR SUITE PROGRAMS IMAGE [BUILD]" >&2; exit 2 ;;
esac
PATH=$PATH:/usr/sbin:/sbin
SUITE=$2
build=${5:+$(realpath "$5")}
if [ -z "$build" ]; then
	PACKAGES+=,linux-image-amd64,initramfs-tools,zstd,perl
	IMAGE_MIB=2560
	NEED_MIB=6000
fi
place=$1/debian-$SUITE${build:+-own}
mkdir -p "$place"
dir=$(realpath "$place")
programs=$(realpath "$3")
image=$4
root=$dir/root
log=$dir/log

exec 9>"$dir/lock"
flock 9

[ "$(id -u)" = 0 ] || unavailable "debootstrap wants root"
for program in debootstrap mkfs.ext4 depmod; do
	command -v $program >/dev/null ||
		unavailable "there is no $program: install debootstrap, e2fsprogs and kmod"
done
free=$(df --output=avail --block-size=1M "$dir" | tail -n 1)
[ "$free" -ge "$NEED_MIB" ] ||
	unavailable "$dir has $((free)) MiB free, $NEED_MIB are needed: free some"

make_root()
{
	local mirror done=

	echo "installing Debian $SUITE with kdump-tools (about 100 MiB to download)"
	for mirror in $(mirrors); do
		rm -rf "$root"
		DEBIAN_FRONTEND=noninteractive debootstrap --variant=minbase \
			"--include=$PACKAGES" "$SUITE" "$root" "$mirror" >"$log" 2>&1 || continue
		done=1
		break
	done
	[ -n "$done" ] || unavailable "debootstrap: $(tail -n 1 "$log") (log: $log)"
	rm -rf "$root/var/cache/apt/archives"/*.deb "$root/var/lib/apt/lists"/*
	# the console is where host and guest talk
	ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
	ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"
	echo "/dev/root / ext4 defaults 0 0" >"$root/etc/fstab"
	# Drivers for the root file system are built in: there is no initramfs to load.
	[ -z "$build" ] ||
		sed -i 's/^KDUMP_INITRD=.*/KDUMP_INITRD=/' "$root/etc/default/kdump-tools"
	mkdir -p "$root/etc/systemd/system/kdump-tools-dump.service.d" \
		"$root/etc/systemd/system/multi-user.target.wants"
	cp "$here/guest/debian/rig.service" "$root/etc/systemd/system/"
	ln -sf ../rig.service "$root/etc/systemd/system/multi-user.target.wants/"
	cp "$here/guest/debian/dump.conf" \
		"$root/etc/systemd/system/kdump-tools-dump.service.d/rig.conf"
}

made_from=$({ echo "$SUITE $PACKAGES"
	      cat "$here/debian_image.sh" "$here"/guest/debian/*; } | sha256sum)
if [ "$made_from" != "$(cat "$dir/made-from" 2>/dev/null)" ]; then
	rm -f "$dir/made-from"
	make_root
	echo "$made_from" >"$dir/made-from"
fi

put_kernel()
{
	local modules

	release=$(cat "$build/include/config/kernel.release")
	modules=$root/lib/modules/$release
	rm -rf "${root:?}/lib/modules" "${root:?}/boot"
	mkdir -p "$root/boot" "$modules"
	cp "$build/arch/x86/boot/bzImage" "$root/boot/vmlinuz-$release"
	cp "$build/.config" "$root/boot/config-$release"
	find "$build" -name '*.ko' -printf '%P\n' | while read -r module; do
		objcopy --strip-debug "$build/$module" "$modules/${module##*/}"
	done
	cp "$build/modules.builtin" "$build/modules.builtin.modinfo" \
		"$build/modules.order" "$modules/"
	depmod -b "$root" "$release"
}

if [ -n "$build" ]; then
	put_kernel
else
	release=$(basename "$root"/boot/vmlinuz-* | sed 's/^vmlinuz-//')
	cp "$root/boot/vmlinuz-$release" "$image.vmlinuz"
	cp "$root/boot/initrd.img-$release" "$image.initrd"
	echo "$release" >"$image.release"
fi
echo "writing a disk with Debian $SUITE and Linux $release"
rm -rf "${root:?}/rig"
mkdir -p "$root/rig"
cp -r "$programs/." "$root/rig/"
cp "$here/guest/lib.sh" "$here/guest/debian/rig.sh" "$root/rig/"
rm -f "$image"
mkfs.ext4 -q -F -E lazy_itable_init=0 -d "$root" "$image" "${IMAGE_MIB}M" >"$log" 2>&1 ||
	unavailable "mkfs.ext4: $(tail -n 1 "$log") (log: $log)"
