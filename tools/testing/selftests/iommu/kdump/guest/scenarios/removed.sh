# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller. In the crash kernel devices are removed before any
# driver has come, and found again by a scan of the bus: one function of two, a port with
# what is behind it. Then one whose driver has stopped it, while its old mappings are still
# carried. The other function has no driver and must not notice.

removed=0000:00:06.0
sibling=0000:00:06.1
port=0000:00:08.0
behind_port=0000:01:00.0
carried=0000:00:05.0

first() {
	stream_and_crash $removed $sibling $behind_port $carried
}

# again DEVICE [WHAT]: remove it, or what it is behind; find it; let its driver come
again() {
	echo 1 > "/sys/bus/pci/devices/${2:-$1}/remove"
	note removed "$1"
	[ "$1" = $carried ] && ask_host stopped
	sleep 0.3
	echo 1 > /sys/bus/pci/rescan
	wait_for "/sys/bus/pci/devices/$1/iommu_group"
	note back "$1"
	bind_driver snd_hda_intel "$1"
	capture_from "$1"
}

crash() {
	no_automatic_probe
	load_sound
	note boot $removed $sibling $behind_port $carried

	# nobody stops a device that is removed, until its own driver comes
	ask_host may-fault 00:06.0
	again $removed
	ask_host may-fault end
	note later $sibling

	ask_host may-fault 01:00.0
	again $behind_port $port
	ask_host may-fault end

	bind_driver snd_hda_intel $carried
	note driven $carried
	again $carried

	# the grace period passes
	sleep 3
	note end $sibling $carried $behind_port
	ask_host scan
}
