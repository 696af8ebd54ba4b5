# SPDX-License-Identifier: GPL-2.0
# Sound streams, the crash kernel blocks it, and has no driver that would stop it:
# a fault for each access, until the host has seen enough of them.

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
	ask_host storm
	# what is written about the last of them
	sleep 2
	ask_host scan
}
