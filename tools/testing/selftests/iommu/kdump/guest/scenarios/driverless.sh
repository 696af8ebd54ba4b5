# SPDX-License-Identifier: GPL-2.0
# Sound streams again, but the crash kernel has no driver for the controller:
# nothing stops it, and nothing may disturb it, until the power goes off.

device=0000:00:05.0

first() {
	stream_both_ways
	crash_now
}

crash() {
	sleep 1.5
	ask_host scan
}
