# SPDX-License-Identifier: GPL-2.0
# A device with 24 address bits: the crashed kernel had mapped 12 of the 16 MiB,
# the crash kernel's driver wants 10 MiB. It must get them, and must not be given
# an old address before it needs one.

device=0000:00:06.0
control=/sys/kernel/debug/edu_dma/$device

first() {
	load_module edu_dma size=1048576 count=12 mask_bits=24
	wait_for $control
	crash_now
}

crash() {
	sleep 0.5
	load_module edu_dma size=65536 count=0 mask_bits=24
	wait_for $control
	echo 160 > $control/map
	while read -r iova length; do
		say "mapping $iova $length"
	done < $control/mappings
	say "refused $(cat $control/refused)"
	# what no mapping gets in any kernel: host bridge windows, special regions
	sed -n 's/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : PCI Bus.*/\1 \2/p' /proc/iomem |
	while read -r start end; do
		say "reserved $start $end"
	done
	while read -r start end type; do
		say "reserved $start $end"
	done < "/sys/kernel/iommu_groups/$(group_of $device)/reserved_regions"
	ask_host scan
}
