# SPDX-License-Identifier: GPL-2.0
# Sound streams from two controllers, one of them behind a port. No driver for either in
# the crash kernel, which ends as one that has saved its dump: by a reboot.

near=0000:00:05.0
behind_port=0000:01:00.0

first() {
	load_sound
	capture_from $near $behind_port
	sleep 0.5
	load_crash_kernel
	sleep 0.3
	panic_now
}

crash() {
	ending=reboot
	sleep 1
	ask_host scan
}
