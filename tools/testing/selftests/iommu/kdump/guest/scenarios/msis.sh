# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller, with the shortest periods there are and an MSI for
# each of them, and nobody in the crash kernel who would stop that.

streams="0000:00:03.0 0000:00:04.0 0000:00:05.0 0000:00:06.0"
frames=32

first() {
	load_sound
	# shellcheck disable=SC2086
	capture_from $streams
	sleep 0.5
	load_crash_kernel
	sleep 0.3
	panic_now
}

crash() {
	sleep 1
	ask_host scan
}
