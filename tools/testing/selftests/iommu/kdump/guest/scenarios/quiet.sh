# SPDX-License-Identifier: GPL-2.0
# Two network cards whose bus mastering is off when the kernel crashes. Frames wait for
# them meanwhile, and they write these as soon as they may: when a driver in the crash
# kernel makes them bus masters. One has its own driver, which resets it some time later;
# the other one's maps at once, and does not stop what it finds.

driven=0000:00:03.0
unstopped=0000:00:04.0

first() {
	load_module e1000
	for card in $driven $unstopped; do
		wait_for /sys/bus/pci/devices/$card/net
		interface_up $card
	done
	ask_host flood-old
	sleep 1.5
	load_crash_kernel "rig.token=$token"
	sleep 0.3
	clear_bus_master $driven
	clear_bus_master $unstopped
	panic_now
}

crash() {
	no_automatic_probe
	sleep 0.7
	load_module edu_dma count=64
	note boot $driven $unstopped
	override_driver edu_dma $unstopped
	note driven $unstopped
	load_module e1000
	bind_driver e1000 $driven
	note driven $driven
	ask_host scan
	# from here on frames are for the crash kernel, and may be in its memory
	ask_host traffic-new
	interface_up $driven
	frame_check "$(interface_of $driven)" 8 "$token" N 20 > /dev/kmsg
}
