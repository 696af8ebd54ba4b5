#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deb.sh: put the kernel that "kernel.sh package" has built into a Debian package, with
# what makes kdump-tools load it: out/linux-image-VERSION-kdump_*.deb.
#
# The kernel's own bindeb-pkg makes the package. It is then taken apart, because that of a
# crash kernel differs in one point: nobody may boot it. The image does not go to /boot,
# where a boot loader would take it for the newest kernel, and the hooks for kernels that
# are booted are not called.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$(dirname "$0")/lib-build.sh"
here=$(realpath "$(dirname "$0")")

# as kernel.sh has it, or all would be built once more
unset CCACHE_BASEDIR
source=$OUT/linux
build=$source/.build-package
log=$OUT/build/package-deb.log
release=$(cat "$build/include/config/kernel.release")
package=linux-image-$release
revision=${REVISION:-1}
version=${release%-kdump}-$revision
crashkernel=$(sed -n 's/^crashkernel=//p' "$here/deb/crashkernel")
deb=$OUT/${package}_${version}_amd64.deb

need_space 1500 "making the package"

scratch=$(mktemp -d "$OUT/.deb.XXXXXX")
trap 'rm -rf "$scratch" "$source"/linux-kdump_* "$source"/linux-*_"$version"_amd64.deb' EXIT
trap 'exit 130' INT TERM HUP

start=$SECONDS
echo "$package: the kernel's own bindeb-pkg"
kernel_make "$source" "$build" x86_64 gcc
(
	export KDEB_SOURCENAME=linux-kdump KDEB_PKGVERSION=$version KDEB_CHANGELOG_DIST=unstable
	export DEB_BUILD_PROFILES=pkg.linux-kdump.nokernelheaders DPKG_FLAGS=-d
	export DEBFULLNAME='kdump of the IOMMU core' DEBEMAIL=root@localhost
	"${make[@]}" -j"$(nproc)" bindeb-pkg
) >"$log" 2>&1 || die "bindeb-pkg failed: $(tail -n 1 "$log") (log: $log)"

root=$scratch/root
dpkg-deb -R "$source/${package}_${version}_amd64.deb" "$root"
mkdir -p "$root/usr/lib/linux-kdump" "$root/usr/lib/modules"
# only the configuration stays: Debian 12's mkinitramfs wants to see there how an
# initramfs may be compressed
mv "$root/boot/vmlinuz-$release" "$root/boot/System.map-$release" \
	"$root/usr/lib/linux-kdump/"
[ "$(ls "$root/boot")" = "config-$release" ] || die "bindeb-pkg puts more into /boot than deb.sh knows of"
# since Debian 12 /lib is a link
mv "$root/lib/modules/$release" "$root/usr/lib/modules/"
rm -rf "${root:?}/lib"

# fill FILE TARGET MODE: with what it does not know by itself
fill()
{
	mkdir -p "$(dirname "$2")"
	sed "s|@RELEASE@|$release|g; s|@CRASHKERNEL@|$crashkernel|g" "$here/deb/$1" >"$2"
	chmod "$3" "$2"
}

for script in postinst prerm postrm; do
	fill $script "$root/DEBIAN/$script" 755
done
rm -f "$root/DEBIAN/preinst"
fill triggers "$root/DEBIAN/triggers" 644
fill settings "$root/usr/lib/linux-kdump/settings" 644
fill grub.cfg "$root/usr/lib/linux-kdump/grub.cfg" 644
fill make-initrd "$root/usr/lib/linux-kdump/make-initrd" 755
fill README.Debian "$root/usr/share/doc/$package/README.Debian" 644
{
	sed '/^Description:/,$d; /^Depends:/d; /^Installed-Size:/d' "$root/DEBIAN/control"
	echo "Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)"
	sed "s|@RELEASE@|$release|g" "$here/deb/control"
} >"$scratch/control"
mv "$scratch/control" "$root/DEBIAN/control"
(cd "$root" && find usr boot -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

rm -f "$OUT"/linux-image-*-kdump_*.deb
dpkg-deb --root-owner-group -Zxz -b "$root" "$deb.partial" >>"$log"
mv "$deb.partial" "$deb"
echo "$package: kernel $(du -k "$root/usr/lib/linux-kdump/vmlinuz-$release" | cut -f 1) KiB," \
	"$(find "$root/usr/lib/modules" -name '*.ko' | wc -l) modules, made in $(elapsed "$start")"
echo "install it with: apt install ./${deb#"$PWD"/}"
