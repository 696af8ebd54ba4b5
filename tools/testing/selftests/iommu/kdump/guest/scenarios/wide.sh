# SPDX-License-Identifier: GPL-2.0
# Many devices, no translation in either kernel, and address windows that end at 2^46: what
# the crashed kernel let its devices reach is as large as that.

first() {
	load_module edu_dma size=65536 count=2
	crash_now
}

crash() {
	# how far up the resources of this machine go, beside memory
	say "reach $(sed -n 's/^ *[0-9a-f]*-\([0-9a-f]*\) : PCI Bus.*/\1/p' /proc/iomem |
		awk '{ printf "%16s\n", $1 }' | sort | tail -n 1)"
	say_memory boot
	load_module edu_dma size=65536 count=2
	# one of each group
	for device in /sys/kernel/debug/edu_dma/*.0; do
		say "loopback $(cat "$device/loopback")"
	done
	say_memory driven
	ask_host scan
}
