# SPDX-License-Identifier: GPL-2.0
# A disk that the first kernel reads all the time. The crash kernel saves the
# beginning of the dump to it, and the host looks at what has arrived.

disk=/dev/sda

first() {
	wait_for $disk
	while :; do
		dd if=$disk of=/dev/null bs=64k 2>/dev/null
	done &
	sleep 0.5
	load_crash_kernel
	sleep 0.3
	panic_now
}

crash() {
	wait_for $disk
	say "loaded disk"
	timeout 20 dd if=/proc/vmcore of=$disk bs=1M count=16 conv=fsync 2>/dev/null ||
		say "error: the dump cannot be saved to $disk"
	ask_host scan
}
