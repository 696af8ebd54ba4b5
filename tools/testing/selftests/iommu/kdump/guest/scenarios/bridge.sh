# SPDX-License-Identifier: GPL-2.0
# Two network cards behind a PCIe-to-PCI bridge have one requester ID, so one
# translation. The crash kernel drives card A only; card B, which nobody resets,
# goes on writing received frames through whatever that translation is by then.

card_a=0000:01:01.0
card_b=0000:01:02.0

first() {
	no_automatic_probe
	load_module e1000
	# B first: its buffers take the addresses that A gets after the crash
	bind_driver e1000 $card_b
	interface_up $card_b
	bind_driver e1000 $card_a
	interface_up $card_a
	ask_host flood-b
	sleep 1
	crash_now "rig.token=$token"
}

crash() {
	no_automatic_probe
	load_module e1000
	sleep 0.7
	bind_driver e1000 $card_a
	interface_up $card_a
	name=$(interface_of $card_a)
	frame_check "$name" 2 "$token" > /dev/kmsg
	ask_host traffic-a
	frame_check "$name" 8 "$token" A 10 > /dev/kmsg
	ask_host scan
}
