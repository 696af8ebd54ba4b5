# SPDX-License-Identifier: GPL-2.0
# Two functions of one device, so one group. Before the panic the host gives each
# tables of its own, in memory that belongs to the device $sandbox. In the crash
# kernel a driver comes that does not stop the streams.

driven=0000:00:06.0
driverless=0000:00:06.1
sandbox=0000:00:07.0

first() {
	in_any_order "load_module edu_dma size=65536 count=4" load_sound
	capture_from $driven $driverless
	wait_for /sys/kernel/debug/edu_dma/$sandbox/mappings
	while read -r iova length; do
		say "sandbox $iova $length"
	done < /sys/kernel/debug/edu_dma/$sandbox/mappings
	sleep 0.5
	crash_now
}

crash() {
	no_automatic_probe
	note boot $driven
	load_module edu_dma count=64
	override_driver edu_dma $driven
	note driven $driven
	sleep 1
	ask_host scan
}
