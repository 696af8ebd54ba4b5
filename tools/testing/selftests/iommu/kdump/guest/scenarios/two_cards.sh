# SPDX-License-Identifier: GPL-2.0
# For bridge.sh and functions.sh, which say what $card_a and $card_b are, and whether both
# have the same wire for interrupts.

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
	# nobody answers B, and after a while Linux would hear no more of A
	[ -z "$same_wire" ] || mask_interrupt $card_b
	bind_driver e1000 $card_a
	interface_up $card_a
	name=$(interface_of $card_a)
	frame_check "$name" 2 "$token" > /dev/kmsg
	ask_host traffic-a
	frame_check "$name" 8 "$token" A 10 > /dev/kmsg
	ask_host scan
}
