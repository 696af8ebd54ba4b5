# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC1091,SC2034,SC2154
# In an installed Debian: its own services load the crash kernel, save the dump and
# reboot. Here a sound stream is started and the kernel crashed; before the dump is
# saved, the host is told what the crash kernel sees; after the reboot, what is there.
# If there is a package with a crash kernel, it is installed before and removed after.

sound=0000:00:05.0
export PATH="/rig/bin:$PATH"

if [ -e /proc/vmcore ]; then
	role=crash
elif ls /var/crash/2* > /dev/null 2>&1; then
	role=again
else
	role=first
fi
. /rig/lib.sh
echo 8 > /proc/sys/kernel/printk
say "userspace"

package=$(echo /rig/linux-image-*.deb)

# What a package that is removed has to leave as it was.
write_inventory() {
	find /etc /boot -type f -print0 | sort -z | xargs -0 sha256sum > "$1" 2>/dev/null
	# what a link leads to may change by itself, as /etc/mtab does
	find /etc /boot -type l | sort | while read -r link; do
		echo "$(readlink "$link") $link"
	done >> "$1"
}

# With its path: this shell has a dpkg of its own, which knows little.
install_package() {
	write_inventory /rig/before
	say "installing ${package##*/}"
	/usr/bin/dpkg -i "$package" > /rig/dpkg.log 2>&1 ||
		say "error: dpkg: $(tail -n 1 /rig/dpkg.log)"
	while read -r line; do
		say "dpkg: $line"
	done < /rig/dpkg.log
	kdump-config show | grep -q /usr/lib/linux-kdump/vmlinuz ||
		give_up "kdump-tools has not taken the kernel of the package"
	say "installed"
}

remove_package() {
	/usr/bin/dpkg -P "$(/usr/bin/dpkg-deb -f "$package" Package)" > /rig/dpkg.log 2>&1 ||
		say "error: dpkg: $(tail -n 1 /rig/dpkg.log)"
	write_inventory /rig/after
	diff /rig/before /rig/after > /rig/difference && [ ! -e /usr/lib/linux-kdump ] &&
		[ ! -e /var/lib/linux-kdump ]
	left=$?
	if [ $left != 0 ]; then
		sed -n 's/^[-+<>].* //p' /rig/difference | grep -v ^/rig/ | sort -u > /rig/left
		say "error: the package leaves behind: $(head -n 5 /rig/left | tr '\n' ' ')"
	fi
	kdump-config show | grep -q linux-kdump &&
		say "error: kdump-tools still has the kernel of the package"
	say "removed"
}

case $role in
first)
	self_test
	if [ -e "$package" ]; then
		install_package
	fi
	capture_from $sound
	tries=600
	until [ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || give_up "kdump-tools has not loaded the crash kernel"
		sleep 0.1
	done
	say "crash kernel loaded"
	sleep 0.5
	panic_now
	;;
crash)
	self_test
	say_memory crash
	say_groups
	ask_host scan
	;;
again)
	for file in /var/crash/2*/*; do
		say "found $file $(stat -c %s "$file")"
	done
	[ ! -e "$package" ] || remove_package
	sync
	say "power-off"
	poweroff -f
	;;
esac
