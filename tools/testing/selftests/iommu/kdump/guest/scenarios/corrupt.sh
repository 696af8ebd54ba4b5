# SPDX-License-Identifier: GPL-2.0
# Sound streams from several controllers. After the panic the host corrupts tables of
# some of them. In the crash kernel one gets a driver that does not stop the stream,
# the others get none, and are checked two seconds after the boot. The edu device has
# to work, whatever has become of its own tables.

victim=0000:00:05.0
neighbour=0000:00:06.0
worker=0000:00:07.0
# the one of these that is there
far="0000:01:00.0 0000:00:08.0"

first() {
	in_any_order "load_module edu_dma size=65536 count=4" load_sound
	capture_from $victim $neighbour
	for device in $far; do
		[ -e "/sys/bus/pci/devices/$device" ] && capture_from "$device"
	done
	sleep 0.3
	crash_now
}

crash() {
	no_automatic_probe
	# as many mappings as the streams had: old addresses must not be among them
	load_module edu_dma count=64
	override_driver edu_dma $victim
	bind_driver edu_dma $worker
	sleep 2.7
	say "loopback $(cat /sys/kernel/debug/edu_dma/$worker/loopback)"
	ask_host scan
}
