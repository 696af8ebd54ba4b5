# SPDX-License-Identifier: GPL-2.0
# Sound streams, the crash kernel blocks it, and has no driver that would stop it:
# a fault for each access, until the host has seen enough of them.

first() {
	stream_both_ways
	crash_now
}

crash() {
	ask_host storm
	# what is written about the last of them
	sleep 2
	ask_host scan
}
