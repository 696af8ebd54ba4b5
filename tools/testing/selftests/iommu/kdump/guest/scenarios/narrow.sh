# SPDX-License-Identifier: GPL-2.0
# A device whose addresses reach no further than memory does. Where the crashed
# kernel did not translate, all of them are in use, except those of the crash
# kernel's own memory.

device=0000:00:06.0
control=/sys/kernel/debug/edu_dma/$device

first() {
	load_module edu_dma size=65536 count=4 mask_bits=29
	wait_for $control
	crash_now
}

crash() {
	load_module edu_dma size=65536 count=64 mask_bits=29
	wait_for $control
	while read -r iova length; do
		say "mapping $iova $length"
	done < $control/mappings
	say "refused $(cat $control/refused)"
	say "loopback $(cat $control/loopback)"
	ask_host scan
}
