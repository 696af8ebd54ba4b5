# SPDX-License-Identifier: GPL-2.0
# Memory that the crash kernel had lent to the one that crashes (crashkernel=...,cma):
# a page of it was mapped for a device, and belongs to the crash kernel now. The
# driver of the crash kernel maps nothing, so that on a kernel without the framework
# the old tables are still there.

device=0000:00:06.0
control=/sys/kernel/debug/edu_dma/$device

first() {
	load_module edu_dma size=65536 count=4
	wait_for $control
	lent=$(dmesg | sed -n 's/.*cma: Reserved \([0-9]*\) MiB.* at \(0x[0-9a-f]*\).*/\1 \2/p')
	[ "$lent" ] || give_up "no CMA memory is reserved"
	start=${lent#* }
	echo "$((start)) $((start + (${lent% *} << 20)))" > $control/map_within ||
		give_up "there is no page of CMA memory to be had"
	old=$(sed -n 's/ .* lent$//p' $control/mappings)
	echo "$old 1024" > $control/write
	crash_now "rig.old=$old"
}

crash() {
	say_memory crash
	sleep 0.5
	load_module edu_dma count=0
	wait_for $control
	ask_host scan
	ask_host stray released "$old"
	echo "$old 1024" > $control/write
	sleep 0.2
	ask_host stray end
}
