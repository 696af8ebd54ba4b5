# SPDX-License-Identifier: GPL-2.0
# The command line of the crash kernel has words that it does not know.

device=0000:00:06.0

first() {
	load_module edu_dma size=65536 count=4
	wait_for /sys/kernel/debug/edu_dma/$device
	crash_now
}

crash() {
	note boot $device
	load_module edu_dma size=65536 count=4
	note driven $device
	# longer than any number that could be made of the word
	sleep 4
	note end $device
	ask_host scan
}
