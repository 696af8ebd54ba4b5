# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller, with the shortest periods there are and an MSI for
# each of them, and nobody in the crash kernel who would stop that.

streams="0000:00:03.0 0000:00:04.0 0000:00:05.0 0000:00:06.0"
frames=32

first() {
	# shellcheck disable=SC2086
	stream_and_crash $streams
}

crash() {
	sleep 1
	ask_host scan
}
