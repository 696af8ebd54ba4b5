# SPDX-License-Identifier: GPL-2.0
# Sound streams from two controllers, one of them behind a port. No driver for either in
# the crash kernel, which ends as one that has saved its dump: by a reboot.

near=0000:00:05.0
behind_port=0000:01:00.0

first() {
	stream_and_crash $near $behind_port
}

crash() {
	ending=reboot
	sleep 1
	ask_host scan
}
