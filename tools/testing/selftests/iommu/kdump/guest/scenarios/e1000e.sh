# SPDX-License-Identifier: GPL-2.0
# One network card in a group of its own, receiving all the time.

card=0000:00:03.0

first() {
	load_module e1000e
	wait_for /sys/bus/pci/devices/$card/net
	interface_up $card
	ask_host flood-old
	sleep 1.5
	crash_now "rig.token=$token"
}

crash() {
	sleep 0.7
	load_module e1000e
	wait_for /sys/bus/pci/devices/$card/net
	ask_host scan
	# from here on frames are for the crash kernel, and may be in its memory
	ask_host traffic-new
	interface_up $card
	frame_check "$(interface_of $card)" 8 "$token" N 20 > /dev/kmsg
}
