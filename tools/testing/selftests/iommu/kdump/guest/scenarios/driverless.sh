# SPDX-License-Identifier: GPL-2.0
# Sound streams again, but the crash kernel has no driver for the controller:
# nothing stops it, and nothing may disturb it, until the power goes off.

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
	sleep 1.5
	ask_host scan
}
