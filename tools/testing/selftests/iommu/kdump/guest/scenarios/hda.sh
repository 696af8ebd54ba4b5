# SPDX-License-Identifier: GPL-2.0
# Sound streams, capture and playback: the controller goes on writing samples
# and stream positions by itself. Its driver maps new buffers before it resets
# the controller, and that is the window in question.

device=0000:00:05.0

first() {
	load_sound
	wait_for /dev/snd/pcmC0D0c
	wait_for /dev/snd/pcmC0D0p
	pcm_stream capture /dev/snd/pcmC0D0c > /dev/kmsg &
	pcm_stream playback /dev/snd/pcmC0D0p > /dev/kmsg &
	sleep 0.5
	load_crash_kernel
	sleep 0.3
	panic_now
}

crash() {
	sleep 0.7
	load_sound
	wait_for /dev/snd/pcmC0D0c
	sleep 0.3
	ask_host scan
}
