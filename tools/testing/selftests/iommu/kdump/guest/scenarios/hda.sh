# SPDX-License-Identifier: GPL-2.0
# Sound streams, capture and playback: the controller goes on writing samples
# and stream positions by itself. Its driver maps new buffers before it resets
# the controller, and that is the window in question.

device=0000:00:05.0

first() {
	stream_both_ways
	crash_now
}

crash() {
	sleep 0.7
	load_sound
	wait_for /dev/snd/pcmC0D0c
	sleep 0.3
	ask_host scan
}
