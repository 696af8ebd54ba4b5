# SPDX-License-Identifier: GPL-2.0
# A disk that the first kernel reads all the time. The crash kernel saves the
# beginning of the dump to it, and the host looks at what has arrived.

disk=/dev/sda

# QEMU's AHCI reads the table of a request's segments in one piece: one that lies in
# two pages, which the IOMMU need not map to neighbours, fails the request. Linux puts
# the tables of two of the 32 tags 8 segments before the end of a page; they are in
# use as soon as the host's disk is slow.
open_disk() {
	wait_for $disk
	echo 32 > /sys/block/${disk#/dev/}/queue/max_sectors_kb ||
		give_up "$disk cannot be made to split its requests"
}

first() {
	open_disk
	while :; do
		dd if=$disk of=/dev/null bs=64k 2>/dev/null
	done &
	sleep 0.5
	crash_now
}

crash() {
	open_disk
	say "loaded disk"
	seconds=$((20 * ${slower:-1}))
	timeout $seconds dd if=/proc/vmcore of=$disk bs=1M count=16 conv=fsync 2> /tmp/dd ||
		say "error: the dump cannot be saved to $disk:" \
			"status $? (143: $seconds seconds were not enough), $(tail -n 1 /tmp/dd)"
	ask_host scan
}
