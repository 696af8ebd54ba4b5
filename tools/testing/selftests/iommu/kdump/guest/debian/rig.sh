# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC1091,SC2034,SC2154
# In an installed Debian: its own services load the crash kernel, save the dump and
# reboot. Here a sound stream is started and the kernel crashed; before the dump is
# saved, the host is told what the crash kernel sees; after the reboot, what is there.

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

case $role in
first)
	self_test
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
	say_groups
	ask_host scan
	;;
again)
	for file in /var/crash/2*/*; do
		say "found $file $(stat -c %s "$file")"
	done
	sync
	say "power-off"
	poweroff -f
	;;
esac
